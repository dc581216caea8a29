/** JSON in WebSocket messages: an event alone, several as a list. The page says hello first, as every protocol here does. */
export const raw = {
	name: "raw",
	burst: () => 1,
	encode: (events) => (events.length === 1 ? events[0] : `[${events.join(",")}]`),
	session: ({ subscribed }) => ({
		opened() {},
		received: () => subscribed(),
		sent() {},
		room: () => true,
	}),
};
