import "../start.js";
import { Realtime } from "ably";
import { address, begin, report, take } from "../harness.js";

begin(() => {
	const [host, port] = address.host.split(":");
	const client = new Realtime({
		token: "token",
		realtimeHost: host,
		restHost: host,
		fallbackHosts: [],
		port: Number(port),
		tls: false,
		useBinaryProtocol: false,
		transports: ["web_socket"],
		transportParams: { run: address.run },
		disableConnectivityCheck: true,
	});
	client.connection.on("failed", ({ reason }) => report(reason));
	client.channels
		.get("bench")
		.subscribe("event", ({ data }) => take(data))
		.catch(report);
});
