/** SignalR's JSON hub protocol: records end with U+001E, and a message may hold several. */
const END = "\u001e";

export const signalr = {
	name: "signalr",
	burst: () => 1,
	encode: (events) => events.map((event) => `{"type":1,"target":"event","arguments":[${event}]}${END}`).join(""),
	session: ({ send, subscribed }) => ({
		opened() {},
		received(text) {
			for (const record of text.split(END).filter(Boolean)) {
				if (JSON.parse(record).protocol === undefined) continue;
				send(`{}${END}`);
				subscribed();
			}
		},
		sent() {},
		room: () => true,
	}),
};
