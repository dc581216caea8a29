/** Phoenix channels, serializer 2: `[join_ref, ref, topic, event, payload]`. A push carries one event, or a list as its payload. */
export const phoenix = {
	name: "phoenix",
	burst: () => 1,
	encode: (events) => (events.length === 1 ? `[null,null,"bench","event",${events[0]}]` : `[null,null,"bench","events",{"events":[${events.join(",")}]}]`),
	session: ({ send, subscribed }) => ({
		opened() {},
		received(text) {
			const [joinRef, ref, topic, event] = JSON.parse(text);
			if (event === "phx_leave") return;
			send(JSON.stringify([joinRef, ref, topic, "phx_reply", { status: "ok", response: {} }]));
			if (event === "phx_join") subscribed();
		},
		sent() {},
		room: () => true,
	}),
};
