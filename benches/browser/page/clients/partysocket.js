import "../start.js";
import PartySocket from "partysocket";
import { address, begin, take } from "../harness.js";

begin(() => {
	const socket = new PartySocket({ host: address.host, protocol: "ws", party: "raw", room: address.run });
	socket.onopen = () => socket.send('{"type":"hello"}');
	socket.onmessage = ({ data }) => {
		const frame = JSON.parse(data);
		if (Array.isArray(frame)) for (const event of frame) take(event);
		else take(frame);
	};
});
