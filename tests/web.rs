//! The binding in a real browser against a real bridge: sockets, timers, closures, re-entry.
//!
//! `cargo xtask test --only wasm` starts the bridge and says where it is. Where the tests run (window, worker) is chosen by
//! `WASM_BINDGEN_USE_BROWSER=1` and its kin.
#![cfg(target_arch = "wasm32")]

use agentwire::web::{Host, RawClient};
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::{Closure, JsCast, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::WebSocket;

#[wasm_bindgen(inline_js = r#"
export class TestHost {
	constructor() {
		this.events = []; this.states = []; this.settledIds = []; this.gaps = []; this.results = []; this.errors = [];
		this.sockets = []; this.tokens = 0; this.waiting = []; this.onEvent = undefined; this.onToken = undefined;
		this.frames = []; this.onFrame = undefined;
	}
	socket(socket, id) {
		this.sockets.push(socket);
		if (socket !== undefined) socket.onmessage = ({ data }) => {
			const frame = JSON.parse(data);
			const slot = this.frames.push(frame) - 1;
			if (!this.onFrame(id, slot, frame, data.length, performance.now())) this.release(slot);
		};
		this.look();
	}
	frame(slot) { return this.frames[slot]; }
	release(slot) { this.frames[slot] = undefined; }
	wellFormed(frame) { return frame.events.every((event) => typeof event === "object" && event !== null && typeof event.type === "string"); }
	token() { this.tokens += 1; this.onToken?.(); }
	deliver(consumer, slot, skip, take, offset, through) {
		const frame = this.frames[slot];
		for (let index = 0; index < take; index += 1) {
			const event = frame.events[skip + index];
			this.events.push({ consumer, offset: offset + index, replay: offset + index <= through, event });
			this.onEvent?.(offset + index);
		}
		this.look();
		return take;
	}
	placed() {}
	state(to, reason) { this.states.push(to + ":" + reason); this.look(); }
	welcome(session, subject) { this.subject = subject; }
	gap(consumer, gap) { this.gaps.push(gap); return true; }
	resumed(consumer, result) { this.results.push(result); this.look(); }
	ended(stream, reason) { this.states.push("ended:" + reason); this.look(); }
	settled(id, receipt, error) { this.settledIds.push(id + ":" + (receipt?.status ?? error)); this.look(); }
	message() {}
	error(code) { this.errors.push(code); this.look(); }
	look() { this.waiting = this.waiting.filter(({ check, resolve }) => { if (check(this)) { resolve(); return false; } return true; }); }
	until(check) { return new Promise((resolve) => { this.waiting.push({ check, resolve }); this.look(); }); }
}
"#)]
extern "C" {
    type TestHost;
    #[wasm_bindgen(constructor)]
    fn new() -> TestHost;
    #[wasm_bindgen(method)]
    fn until(this: &TestHost, check: &Function) -> Promise;
    #[wasm_bindgen(method, setter, js_name = onEvent)]
    fn set_on_event(this: &TestHost, handler: &Function);
    #[wasm_bindgen(method, setter, js_name = onToken)]
    fn set_on_token(this: &TestHost, handler: &Function);
    #[wasm_bindgen(method, setter, js_name = onFrame)]
    fn set_on_frame(this: &TestHost, handler: &Function);
}

#[wasm_bindgen]
extern "C" {
    /// A frame of events.
    type Frame;
    #[wasm_bindgen(method, getter, js_name = type)]
    fn kind(this: &Frame) -> String;
    #[wasm_bindgen(method, getter)]
    fn ch(this: &Frame) -> u32;
    #[wasm_bindgen(method, getter)]
    fn first(this: &Frame) -> f64;
    #[wasm_bindgen(method, getter)]
    fn count(this: &Frame) -> u32;
}

struct Page {
    host: TestHost,
    client: std::rc::Rc<RawClient>,
    _token: Closure<dyn Fn()>,
    _frame: Closure<dyn Fn(u32, u32, JsValue, u32, f64) -> bool>,
}

fn address() -> &'static str {
    option_env!("AGENTWIRE_TEST_WS").unwrap_or("ws://run-this-through-cargo-xtask-test.invalid/ws")
}

fn token() -> &'static str {
    option_env!("AGENTWIRE_TEST_TOKEN").unwrap_or_default()
}

/// A stream of its own for each test, so that they can share the bridge.
fn fresh(name: &str) -> String {
    format!("{name}-{}", js_sys::Math::random())
}

fn open(url: &str) -> Page {
    let config = js_sys::Object::new();
    for (name, value) in [
        ("url", JsValue::from(url)),
        ("clientVersion", "0.0.0-test".into()),
        ("seed", 7.into()),
        ("windowEvents", 512.into()),
        ("windowBytes", 262_144.into()),
        ("windowTotalBytes", 524_288.into()),
        ("maxPending", 16.into()),
        ("backoffBaseMs", 50.into()),
        ("backoffMaxMs", 200.into()),
        ("connectTimeoutMs", 5_000.into()),
        ("tokenTimeoutMs", 30_000.into()),
    ] {
        Reflect::set(&config, &name.into(), &value).expect("an object");
    }
    let host = TestHost::new();
    let client = std::rc::Rc::new(RawClient::new(host.unchecked_ref::<Host>().clone(), &config));
    let give = std::rc::Rc::downgrade(&client);
    let on_token = Closure::<dyn Fn()>::new(move || {
        if let Some(client) = give.upgrade() {
            client.token_ready(token().into());
        }
    });
    host.set_on_token(on_token.as_ref().unchecked_ref());
    // As the package reads a socket: a frame of events by its numbers, any other as it is.
    let reader = std::rc::Rc::downgrade(&client);
    let on_frame = Closure::<dyn Fn(u32, u32, JsValue, u32, f64) -> bool>::new(
        move |socket, slot, value: JsValue, bytes, now| {
            let Some(client) = reader.upgrade() else { return false };
            let frame = value.unchecked_ref::<Frame>();
            if frame.kind() == "events" {
                client.events(socket, slot, frame.ch(), frame.first(), frame.count(), bytes, now)
            } else {
                client.frame(socket, slot, value)
            }
        },
    );
    host.set_on_frame(on_frame.as_ref().unchecked_ref());
    Page { host, client, _token: on_token, _frame: on_frame }
}

impl Page {
    async fn until(&self, condition: &str) {
        let check = Function::new_with_args("host", &format!("return {condition}"));
        JsFuture::from(self.host.until(&check)).await.expect("the promise only resolves");
    }

    fn list(&self, name: &str) -> Vec<String> {
        Reflect::get(&self.host, &name.into())
            .expect("a member")
            .unchecked_into::<Array>()
            .iter()
            .map(|item| item.as_string().unwrap_or_default())
            .collect()
    }

    fn offsets(&self, consumer: u32) -> Vec<f64> {
        let pick =
            format!("return host.events.filter((e) => e.consumer === {consumer}).map((e) => e.offset)");
        let picked = Function::new_with_args("host", &pick)
            .call1(&JsValue::NULL, &self.host)
            .expect("it does not throw");
        picked.unchecked_into::<Array>().iter().filter_map(|offset| offset.as_f64()).collect()
    }

    fn say(&self, id: &str, stream: &str, content: &str) {
        let body =
            js_sys::JSON::parse(&format!(r#"{{"message":{{"type":"user_message","content":"{content}"}}}}"#))
                .expect("JSON");
        self.client.send(0, id.into(), stream.into(), body, -1.0);
    }
}

fn contiguous(offsets: &[f64]) -> bool {
    offsets.iter().enumerate().all(|(index, offset)| *offset == (index + 1) as f64)
}

#[wasm_bindgen_test]
async fn a_question_is_answered_in_order_over_a_real_socket() {
    let page = open(address());
    let stream = fresh("answer");
    page.client.subscribe(1, 1, stream.clone(), 0.0, None, -1.0, 0);
    page.client.connect();
    page.say("m1", &stream, "list files");
    page.until("host.events.some((e) => e.event.type === 'agent_completed')").await;
    let offsets = page.offsets(1);
    assert!(offsets.len() > 3, "{offsets:?}");
    assert!(contiguous(&offsets), "{offsets:?}");
    assert_eq!(page.list("settledIds"), ["m1:accepted"]);
    assert_eq!(page.list("states"), ["connecting:connect", "connected:welcome"]);
    page.client.close();
}

#[wasm_bindgen_test]
async fn a_socket_that_was_opened_elsewhere_is_adopted_opening_or_open() {
    for wait_for_open in [false, true] {
        let page = open(address());
        let socket = WebSocket::new_with_str(address(), "agentwire.v1").expect("an address");
        if wait_for_open {
            let opened = Promise::new(&mut |resolve: Function, _| socket.set_onopen(Some(&resolve)));
            JsFuture::from(opened).await.expect("it opens");
        }
        page.client.subscribe(1, 1, fresh("adopt"), 0.0, None, -1.0, 0);
        page.client.adopt(socket, token().into());
        page.until("host.results.length === 1").await;
        assert_eq!(page.list("errors"), [""; 0]);
        page.client.close();
    }
}

#[wasm_bindgen_test]
async fn an_adopted_socket_that_died_is_replaced() {
    let page = open(address());
    let socket = WebSocket::new_with_str(address(), "agentwire.v1").expect("an address");
    socket.close().expect("it closes");
    page.client.subscribe(1, 1, fresh("dead"), 0.0, None, -1.0, 0);
    page.client.adopt(socket, token().into());
    page.until("host.results.length === 1").await;
    page.client.close();
}

#[wasm_bindgen_test]
async fn calls_made_inside_a_handler_only_queue() {
    // I10: each call takes effect after the frame, and the core is never entered twice.
    let page = open(address());
    let stream = fresh("reentry");
    page.client.subscribe(1, 1, stream.clone(), 0.0, None, -1.0, 0);
    let client = page.client.clone();
    let name = stream.clone();
    let began = std::cell::Cell::new(false);
    let on_event = Closure::<dyn Fn(f64)>::new(move |offset: f64| {
        // The second consumer gets the first offset too.
        if offset == 1.0 && !began.replace(true) {
            client.subscribe(1, 2, name.clone(), 0.0, None, 0.0, 0);
            client.flush();
            client.connect();
            let body = js_sys::JSON::parse(r#"{"message":{"type":"user_message","content":"list files"}}"#)
                .expect("JSON");
            client.send(0, "inside".into(), name.clone(), body, -1.0);
            client.counter(0);
            client.delivered(1, 0, 999.0);
            client.signal(name.clone(), js_sys::JSON::parse(r#"{"type":"typing"}"#).expect("JSON"));
        }
        if offset == 3.0 {
            client.unsubscribe(1);
        }
    });
    page.host.set_on_event(on_event.as_ref().unchecked_ref());
    page.client.connect();
    page.say("m1", &stream, "list files");
    page.until("host.settledIds.length === 2 && host.events.filter((e) => e.event.type === 'agent_completed' && e.consumer === 2).length >= 2").await;
    assert!(contiguous(&page.offsets(1)));
    assert!(contiguous(&page.offsets(2)), "{:?}", page.offsets(2));
    assert_eq!(page.list("errors"), [""; 0]);
    page.client.close();
}

#[wasm_bindgen_test]
async fn closing_inside_a_handler_ends_everything() {
    let page = open(address());
    let stream = fresh("close");
    page.client.subscribe(1, 1, stream.clone(), 0.0, None, -1.0, 0);
    let client = page.client.clone();
    let on_event = Closure::<dyn Fn(f64)>::new(move |_: f64| client.close());
    page.host.set_on_event(on_event.as_ref().unchecked_ref());
    page.client.connect();
    page.say("m1", &stream, "list files");
    page.until("host.states.at(-1) === 'closed:closed'").await;
    let socket =
        Reflect::get(&page.host, &"sockets".into()).expect("a member").unchecked_into::<Array>().get(0);
    for handler in ["onopen", "onmessage", "onclose"] {
        assert!(
            Reflect::get(&socket, &handler.into()).expect("a member").is_null(),
            "{handler} is taken off"
        );
    }
}

#[wasm_bindgen_test]
async fn a_broken_socket_is_replaced_and_the_stream_resumes() {
    let page = open(address());
    let stream = fresh("resume");
    page.client.subscribe(1, 1, stream.clone(), 0.0, None, -1.0, 0);
    page.client.connect();
    page.say("m1", &stream, "list files");
    page.until("host.events.length >= 2").await;
    let socket =
        Reflect::get(&page.host, &"sockets".into()).expect("a member").unchecked_into::<Array>().get(0);
    socket.unchecked_into::<WebSocket>().close().expect("it closes");
    page.until("host.results.length === 2 && host.events.some((e) => e.event.type === 'agent_completed')")
        .await;
    assert!(contiguous(&page.offsets(1)), "{:?}", page.offsets(1));
    page.client.close();
}

#[wasm_bindgen_test]
async fn a_bad_token_is_refused_three_times_and_ends() {
    // PROTOCOL: HEL-3, CLS-3
    let page = open(address());
    let give = page.client.clone();
    let on_token = Closure::<dyn Fn()>::new(move || give.token_ready("not-a-token".into()));
    page.host.set_on_token(on_token.as_ref().unchecked_ref());
    page.client.connect();
    page.until("host.states.at(-1) === 'failed:token_rejected'").await;
    assert_eq!(page.list("errors"), ["token_invalid", "token_invalid", "token_invalid"]);
}

#[wasm_bindgen_test]
async fn an_address_that_cannot_be_opened_waits_and_does_not_throw() {
    let page = open("ws://127.0.0.1:1/");
    page.client.connect();
    page.until("host.states.filter((state) => state.startsWith('waiting')).length >= 2").await;
    let place =
        agentwire::proto::Stats::NAMES.iter().position(|&name| name == "attempts").expect("a counter");
    let attempts = page.client.counter(place);
    assert!(attempts >= 2.0, "{attempts}");
    page.client.close();
}
