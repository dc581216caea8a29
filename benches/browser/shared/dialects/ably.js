/** Ably's realtime protocol, emulated: JSON data travels as text with `"encoding": "json"`, as the service sends it. */
const CONNECTED = 4;
const ATTACH = 10;
const ATTACHED = 11;
const MESSAGE = 15;

export const ably = {
	name: "ably",
	burst: () => 1,
	encode(events, first) {
		const messages = events.map((event) => `{"name":"event","data":${JSON.stringify(event)},"encoding":"json"}`);
		return `{"action":${MESSAGE},"id":"connection:${first}","connectionId":"connection","timestamp":1790000000000,"channel":"bench","channelSerial":"s${first}","messages":[${messages.join(",")}]}`;
	},
	session: ({ send, subscribed }) => ({
		opened() {
			const connectionDetails = {
				connectionKey: "key",
				clientId: "bench",
				maxMessageSize: 65_536,
				maxFrameSize: 524_288,
				connectionStateTtl: 120_000,
				maxIdleInterval: 0,
			};
			send(JSON.stringify({ action: CONNECTED, connectionId: "connection", connectionDetails }));
		},
		received(text) {
			const { action, channel } = JSON.parse(text);
			if (action !== ATTACH) return;
			send(JSON.stringify({ action: ATTACHED, channel, channelSerial: "s0", flags: 0 }));
			subscribed();
		},
		sent() {},
		room: () => true,
	}),
};
