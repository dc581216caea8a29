import "../start.js";
import ReconnectingWebSocket from "reconnecting-websocket";
import { address, begin, take } from "../harness.js";

begin(() => {
	const socket = new ReconnectingWebSocket(address.url("raw"));
	socket.onopen = () => socket.send('{"type":"hello"}');
	socket.onmessage = ({ data }) => {
		const frame = JSON.parse(data);
		if (Array.isArray(frame)) for (const event of frame) take(event);
		else take(frame);
	};
});
