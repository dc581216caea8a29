/** Texts that the core itself gives or asks for: the first numbers, in the order of `src/proto/text.rs`, where a test compares the two. */
export const WORDS: readonly string[] =
	"accepted ahead already_claimed already_finished already_resolved bad_frame bad_server_frame cancelled closed closed_by_server connect connection_lost epoch forbidden frame_too_large going_away heartbeat_timeout hello_timeout internal message_too_large offline online outbox_full outcome_unknown out_of_order_overflow overloaded page_back page_left receipt_timeout refused rejected reconnect replay_unanswered retry run_over silent slow slow_consumer send_held socket_refused subject_changed agentwire.v1 subscribe_unanswered token_expired token_failed token_invalid token_rejected token_timeout trimmed unanswered unavailable unknown_approval unknown_run unknown_send unsupported_protocol wake welcome welcome_timeout withdrawn".split(
		" ",
	);

/** How a frame contradicts itself or what the server said before, in the order of `src/proto/wire.rs`, where a test compares the two. */
export const CONTRADICTIONS: readonly string[] = [
	"subscribed: not what the request leads to",
	"subscribed: not asked for",
	"subscribed: base is above the head",
	"a frame before the welcome",
	"events: beyond the window",
	"caughtUp: offset is not the head",
	"subscribed: ch is in use",
	"unsubscribed: ch is missing",
	"unsubscribed: ch of another stream",
	"events: count is too large",
	"receipt: decision is missing",
	"subscribed: the epoch is over",
	"unsubscribed: epoch without ch",
	"receipt: error and status",
	"gap: to is below from",
	"gap: after what did not come",
	"subscribed: next outside oldest and head",
	"subscribed: unknown stream",
	"receipt: accepted without position",
	"subscribed: reason is missing",
	"caughtUp: a second one",
	"a second welcome",
	"receipt: status of another frame",
];
