/** Centrifugo's bidirectional JSON protocol: several replies in one message are lines. */

/** How many queued messages the server puts into one frame by default (`defaultMaxMessagesInFrame` of its Go library). */
const IN_FRAME = 4;

export const centrifuge = {
	name: "centrifuge",
	burst: (size) => Math.min(size, IN_FRAME),
	encode: (events, first) => events.map((event, index) => `{"push":{"channel":"bench","pub":{"data":${event},"offset":${first + index}}}}`).join("\n"),
	session: ({ send, subscribed }) => ({
		opened() {},
		received(text) {
			for (const line of text.split("\n")) {
				const command = JSON.parse(line || "{}");
				if (command.connect !== undefined) send(`{"id":${command.id},"connect":{"client":"bench","version":"6.0.0"}}`);
				if (command.subscribe !== undefined) {
					send(`{"id":${command.id},"subscribe":{"recoverable":true,"positioned":true,"epoch":"e1"}}`);
					subscribed();
				}
			}
		},
		sent() {},
		room: () => true,
	}),
};
