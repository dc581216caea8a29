import "../start.js";
import { io } from "socket.io-client";
import { address, begin, take } from "../harness.js";

begin(() => {
	const socket = io(address.origin, { path: "/socketio/", query: { run: address.run }, transports: ["websocket"] });
	socket.on("event", take);
	socket.on("events", (events) => {
		for (const event of events) take(event);
	});
});
