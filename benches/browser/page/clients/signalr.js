import "../start.js";
import { HttpTransportType, HubConnectionBuilder, LogLevel } from "@microsoft/signalr";
import { address, begin, report, take } from "../harness.js";

begin(() => {
	const connection = new HubConnectionBuilder()
		.withUrl(address.path("signalr"), { skipNegotiation: true, transport: HttpTransportType.WebSockets })
		.configureLogging(LogLevel.None)
		.build();
	connection.on("event", take);
	connection.start().catch(report);
});
