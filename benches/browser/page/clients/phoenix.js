import "../start.js";
import { Socket } from "phoenix";
import { address, begin, take } from "../harness.js";

begin(() => {
	const socket = new Socket(address.path("phoenix"));
	socket.connect();
	const channel = socket.channel("bench");
	channel.on("event", take);
	channel.on("events", ({ events }) => {
		for (const event of events) take(event);
	});
	channel.join();
});
