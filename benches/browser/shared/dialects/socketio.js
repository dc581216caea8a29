/** Socket.IO 5 on Engine.IO 4. The network loads use the real server; this session serves the synthetic dispatch. */
export const socketio = {
	name: "socketio",
	burst: () => 1,
	encode: (events) => (events.length === 1 ? `42["event",${events[0]}]` : `42["events",[${events.join(",")}]]`),
	session: ({ send, subscribed }) => ({
		opened: () => send('0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'),
		received(text) {
			if (!text.startsWith("40")) return;
			send('40{"sid":"socket"}');
			subscribed();
		},
		sent() {},
		room: () => true,
	}),
};
