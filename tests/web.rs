//! The binding in a real browser against a real bridge: sockets, timers, closures, re-entry.
//!
//! `cargo xtask test --only wasm` starts the bridge and says where it is. Where the tests run (window, worker) is chosen by
//! `WASM_BINDGEN_USE_BROWSER=1` and its kin.
#![cfg(target_arch = "wasm32")]

use agentwire::{
    proto::{Text, wire::FRAMES},
    web::{Host, RawClient},
};
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::{Closure, JsCast, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::WebSocket;

#[wasm_bindgen(inline_js = r#"
export class TestHost {
	constructor(words, frames, config, url) {
		this.events = []; this.states = []; this.settledIds = []; this.gaps = []; this.results = []; this.errors = [];
		this.sockets = []; this.tokens = 0; this.waiting = []; this.onEvent = undefined; this.onToken = undefined;
		this.values = []; this.onFrame = undefined; this.numbers = [];
		this.texts = [...words];
		this.kinds = frames.trim().split("\n").map((line) => line.split(" "));
		this.given = [...config, -1, this.number(url)];
	}
	// Numbers: what the package does with more care in pkg/src/core.
	number(text) { const known = this.texts.indexOf(text); return known >= 0 ? known : this.texts.push(text) - 1; }
	text(number) { return this.texts[number]; }
	keep(value) { return this.values.push(value) - 1; }
	release(slot) { this.values[slot] = undefined; }
	next() { return this.given.shift() ?? -1; }
	give(numbers) { this.given = [...numbers]; }
	put(number) { this.numbers.push(number); }
	fields(object, words, out) {
		for (let word = words.shift(); word !== undefined && word !== "}"; word = words.shift()) {
			const [, name, optional, letter] = /^(\w+)(\?)?=?([{\w])/.exec(word);
			const value = object?.[name];
			if (letter === "{") { if (optional) out.push(value === undefined ? -1 : 1); this.fields(value, words, value === undefined ? [] : out); }
			else if (letter < "a") continue;
			else if (value === undefined) out.push(-1);
			else if (letter === "t") out.push(this.number(value));
			else if (letter === "l") out.push(value.length, ...value.map((run) => this.number(run)));
			else if (letter === "h") { const heads = Object.entries(value); out.push(heads.length, ...heads.flat().map(Number)); }
			else out.push(letter === "p" ? 1 : Number(value));
		}
		return out;
	}
	socket(socket, id) {
		this.sockets.push(socket);
		if (socket !== undefined) socket.onmessage = ({ data }) => {
			const frame = JSON.parse(data);
			const slot = this.keep(frame);
			const kind = this.kinds.findIndex(([name]) => name === frame.type);
			this.give(this.fields(frame, this.kinds[kind].slice(1), []));
			if (!this.onFrame(id, slot, frame.type === "events" ? -1 : kind, frame, data.length, Date.now())) this.release(slot);
		};
		this.look();
	}
	write(kind) {
		const [first, second, third, fourth, ...rest] = this.numbers.splice(0);
		const requests = (numbers) => Array.from({ length: numbers.length / 5 }, (_, at) => {
			const [name, epoch, offset] = numbers.slice(at * 5);
			return { name: this.text(name), ...(epoch < 0 ? {} : { position: { epoch: this.text(epoch), offset } }), open: { from: "start" } };
		});
		const frames = [
			() => ({ type: "ack", offsets: { [first]: second } }), , , ,
			() => ({ ...this.values[third], type: "send", id: this.text(first), stream: this.text(second), ...(fourth < 0 ? {} : { firstSentAt: fourth }) }), ,
			() => ({ type: "hello", token: this.values[first], client: { name: "test", version: "0" }, window: { events: second, bytes: third, totalBytes: fourth }, streams: requests(rest) }),
			() => ({ type: "ping", n: first }), () => ({ type: "pong", n: first }), ,
			() => ({ type: "replay", req: first, ch: second, from: third, to: fourth }),
			() => ({ type: "signal", stream: this.text(first), signal: this.values[second] }),
			() => ({ type: "subscribe", streams: requests([first, second, third, fourth, ...rest]) }),
			() => ({ type: "unsubscribe", ch: first }),
		];
		return JSON.stringify(frames[kind]());
	}
	open(address) {
		try { return new WebSocket(this.text(address), "agentwire.v1"); } catch { this.errors.push("socket_refused"); this.look(); return undefined; }
	}
	report(kind) {
		const [first, second, third] = this.numbers.splice(0);
		const states = ["closed", "connected", "connecting", "failed", "idle", "offline", "waiting"];
		[
			() => this.states.push("ended:" + this.text(second)),
			() => this.errors.push(this.text(first)),
			() => this.gaps.push(second), , ,
			() => this.results.push(first),
			() => this.settledIds.push(this.text(first) + ":" + (second < 0 ? this.values[third].status : this.text(second))),
			() => this.states.push(states[first] + ":" + this.text(second)),
			() => this.token(), ,
			() => { this.subject = this.text(second); },
		][kind]?.();
		this.look();
		return true;
	}
	token() { this.tokens += 1; this.onToken?.(); }
	deliver(consumer, slot, skip, take, offset, through) {
		const frame = this.values[slot];
		for (let index = 0; index < take; index += 1) {
			const event = frame.events[skip + index];
			this.events.push({ consumer, offset: offset + index, replay: offset + index <= through, event });
			this.onEvent?.(offset + index);
		}
		this.look();
		return take;
	}
	look() { this.waiting = this.waiting.filter(({ check, resolve }) => { if (check(this)) { resolve(); return false; } return true; }); }
	until(check) { return new Promise((resolve) => { this.waiting.push({ check, resolve }); this.look(); }); }
}
"#)]
extern "C" {
    type TestHost;
    #[wasm_bindgen(constructor)]
    fn new(words: Array, frames: &str, config: Array, url: &str) -> TestHost;
    #[wasm_bindgen(method)]
    fn number(this: &TestHost, text: &str) -> u32;
    #[wasm_bindgen(method)]
    fn keep(this: &TestHost, value: JsValue) -> u32;
    #[wasm_bindgen(method)]
    fn give(this: &TestHost, numbers: Array);
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
    #[wasm_bindgen(method, getter)]
    fn ch(this: &Frame) -> u32;
    #[wasm_bindgen(method, getter)]
    fn first(this: &Frame) -> f64;
    #[wasm_bindgen(method, getter)]
    fn count(this: &Frame) -> u32;
}

/// Takes a frame: socket, slot, kind or -1 for events, the frame, bytes, time. Returns whether it is kept.
type Reads = dyn Fn(u32, u32, i32, JsValue, u32, f64) -> bool;

/// The core in words, as `pkg/src/core/core.ts` has it.
#[derive(Clone)]
struct Core {
    raw: std::rc::Rc<RawClient>,
    host: JsValue,
}

impl Core {
    fn host(&self) -> &TestHost {
        self.host.unchecked_ref()
    }

    fn text(&self, text: &str) -> f64 {
        self.host().number(text).into()
    }

    fn value(&self, value: JsValue) -> f64 {
        self.host().keep(value).into()
    }

    fn call(&self, kind: u32, numbers: &[f64]) {
        self.host().give(numbers.iter().copied().map(JsValue::from).collect());
        self.raw.call(kind);
    }

    fn adopt(&self, socket: WebSocket, token: &str) {
        self.raw.adopt(socket, self.host().keep(token.into()));
    }

    fn close(&self) {
        self.call(2, &[]);
    }

    fn connect(&self) {
        self.call(3, &[]);
    }

    fn flush(&self) {
        self.call(4, &[]);
    }

    fn send(&self, id: &str, stream: &str, body: JsValue) {
        self.call(6, &[0.0, self.text(id), self.text(stream), self.value(body), -1.0, -1.0]);
    }

    fn signal(&self, stream: &str, signal: JsValue) {
        self.call(7, &[self.text(stream), self.value(signal)]);
    }

    /// From the start, behind an offset or -1.
    fn subscribe(&self, consumer: u32, name: &str, offset: f64) {
        let numbers = [1.0, consumer.into(), self.text(name), name.len() as f64, 0.0, -1.0, offset, 0.0];
        self.call(8, &numbers);
    }

    fn token_ready(&self, token: &str) {
        self.call(10, &[self.value(token.into())]);
    }

    fn unsubscribe(&self, consumer: u32) {
        self.call(11, &[consumer.into()]);
    }
}

struct Page {
    host: TestHost,
    client: Core,
    _token: Closure<dyn Fn()>,
    _frame: Closure<Reads>,
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
    // Seed, the window, pending sends, backoff (growth and jitter in hundredths), attempts at once, uploads, local, timeouts.
    let config = [7, 512, 262_144, 524_288, 16, 50, 200, 200, 50, 6, 5, 1, 5_000, 30_000];
    let words = Text::WORDS.iter().map(|&word| JsValue::from(word)).collect();
    let host = TestHost::new(words, FRAMES, config.into_iter().map(JsValue::from).collect(), url);
    let raw = std::rc::Rc::new(RawClient::new(host.unchecked_ref::<Host>().clone()));
    let client = Core { raw, host: host.unchecked_ref::<JsValue>().clone() };
    let give = client.clone();
    let on_token = Closure::<dyn Fn()>::new(move || give.token_ready(token()));
    host.set_on_token(on_token.as_ref().unchecked_ref());
    // As the package reads a socket: a frame of events by its numbers, any other as it is.
    let reader = client.clone();
    let on_frame = Closure::<Reads>::new(move |socket, slot, kind, value: JsValue, bytes, now| {
        let frame = value.unchecked_ref::<Frame>();
        match u32::try_from(kind) {
            Ok(kind) => reader.raw.frame(socket, slot, kind),
            Err(_) => reader.raw.events(socket, slot, frame.ch(), frame.first(), frame.count(), bytes, now),
        }
    });
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
        self.client.send(id, stream, body);
    }
}

fn contiguous(offsets: &[f64]) -> bool {
    offsets.iter().enumerate().all(|(index, offset)| *offset == (index + 1) as f64)
}

#[wasm_bindgen_test]
async fn a_question_is_answered_in_order_over_a_real_socket() {
    let page = open(address());
    let stream = fresh("answer");
    page.client.subscribe(1, &stream, -1.0);
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
        page.client.subscribe(1, &fresh("adopt"), -1.0);
        page.client.adopt(socket, token());
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
    page.client.subscribe(1, &fresh("dead"), -1.0);
    page.client.adopt(socket, token());
    page.until("host.results.length === 1").await;
    page.client.close();
}

#[wasm_bindgen_test]
async fn calls_made_inside_a_handler_only_queue() {
    // I10: each call takes effect after the frame, and the core is never entered twice.
    let page = open(address());
    let stream = fresh("reentry");
    page.client.subscribe(1, &stream, -1.0);
    let client = page.client.clone();
    let name = stream.clone();
    let began = std::cell::Cell::new(false);
    let on_event = Closure::<dyn Fn(f64)>::new(move |offset: f64| {
        // The second consumer gets the first offset too.
        if offset == 1.0 && !began.replace(true) {
            client.subscribe(2, &name, 0.0);
            client.flush();
            client.connect();
            let body = js_sys::JSON::parse(r#"{"message":{"type":"user_message","content":"list files"}}"#)
                .expect("JSON");
            client.send("inside", &name, body);
            client.raw.counter(0);
            client.raw.delivered(1, 0, 999.0);
            client.signal(&name, js_sys::JSON::parse(r#"{"type":"typing"}"#).expect("JSON"));
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
    page.client.subscribe(1, &stream, -1.0);
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
    page.client.subscribe(1, &stream, -1.0);
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
    let on_token = Closure::<dyn Fn()>::new(move || give.token_ready("not-a-token"));
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
    let attempts = page.client.raw.counter(place);
    assert!(attempts >= 2.0, "{attempts}");
    page.client.close();
}
