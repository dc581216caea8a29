use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the deadline has passed")
}

/// A server, a proxy before it, and one connection through both: the page's end and the server's end.
async fn pair() -> (Proxy, TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let page = TcpStream::connect(proxy.address()).await.unwrap();
    let (server, _) = within(listener.accept()).await.unwrap();
    (proxy, listener, page, server)
}

fn frame_of_events() -> Vec<u8> {
    let payload = format!(
        r#"{{"type":"events","ch":1,"first":1,"count":1,"events":[{{"type":"{}"}}]}}"#,
        "é".repeat(40)
    );
    assert!(payload.len() < 65_536 && payload.len() > 125);
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
    bytes.extend([0x81, 126]);
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend(payload.as_bytes());
    bytes
}

#[tokio::test]
async fn bytes_go_both_ways_and_are_counted() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    page.write_all(b"hello").await.unwrap();
    let mut five = [0; 5];
    within(server.read_exact(&mut five)).await.unwrap();
    assert_eq!(&five, b"hello");
    server.write_all(b"hi").await.unwrap();
    let mut two = [0; 2];
    within(page.read_exact(&mut two)).await.unwrap();
    // The count is written after the bytes: the end of the connection comes after both.
    drop(server);
    within(page.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(proxy.counts(), Counts { connections: 1, refused: 0, to_page: 2, to_server: 5 });
}

#[tokio::test]
async fn a_finish_ends_both_sides_without_an_error() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    server.write_all(b"abc").await.unwrap();
    let mut three = [0; 3];
    within(page.read_exact(&mut three)).await.unwrap();
    let cut = proxy.cut(How::Finish);
    assert_eq!(cut.connections, 1);
    assert_eq!(within(page.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    assert_eq!(within(server.read_to_end(&mut Vec::new())).await.unwrap(), 0);
}

#[tokio::test]
async fn a_reset_is_an_error_on_both_sides() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    server.write_all(b"abc").await.unwrap();
    let mut three = [0; 3];
    within(page.read_exact(&mut three)).await.unwrap();
    proxy.cut(How::Reset);
    for stream in [&mut page, &mut server] {
        let error = within(stream.read_to_end(&mut Vec::new())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_cut_bites_only_when_bytes_for_the_page_are_in_flight() {
    let (proxy, listener, mut page, mut server) = pair().await;
    page.write_all(b"from the page only").await.unwrap();
    let mut text = [0; 18];
    within(server.read_exact(&mut text)).await.unwrap();
    assert_eq!(proxy.cut(How::Reset), Cut { connections: 1, bit: false });

    let _page = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    let moved = proxy.moved();
    server.write_all(b"x").await.unwrap();
    within(moved).await;
    assert_eq!(proxy.cut(How::Reset), Cut { connections: 1, bit: true });
}

#[tokio::test]
async fn an_armed_cut_ends_inside_the_frame() {
    for how in [How::Finish, How::Reset] {
        let (proxy, _listener, mut page, mut server) = pair().await;
        let made = proxy.arm(Spot::Inside(0.5), how);
        let sent = frame_of_events();
        server.write_all(&sent).await.unwrap();
        let cut = within(made).await.unwrap();
        assert_eq!(cut, Cut { connections: 1, bit: true });
        let mut got = Vec::new();
        let end = within(page.read_to_end(&mut got)).await;
        assert_eq!(end.is_err(), how == How::Reset);
        assert!(sent.starts_with(&got) && got.len() < sent.len(), "{} of {}", got.len(), sent.len());
        assert!(got.len() > 40, "the cut lies behind the type of the frame");
    }
}

#[tokio::test]
async fn an_armed_cut_that_is_taken_back_does_nothing() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    let made = proxy.arm(Spot::Inside(0.5), How::Reset);
    proxy.disarm();
    assert!(made.await.is_err());
    let sent = frame_of_events();
    server.write_all(&sent).await.unwrap();
    let mut got = vec![0; sent.len()];
    within(page.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, sent);
}

#[tokio::test]
async fn new_connections_are_refused_for_a_while() {
    let (proxy, listener, _page, _server) = pair().await;
    proxy.refuse_for(Duration::from_secs(3600));
    let mut page = TcpStream::connect(proxy.address()).await.unwrap();
    let error = within(page.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    proxy.refuse_for(Duration::ZERO);
    let mut page = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    server.write_all(b"x").await.unwrap();
    within(page.read_exact(&mut [0; 1])).await.unwrap();
    assert_eq!(proxy.counts().refused, 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_a_refusal() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    drop(listener);
    let mut page = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(within(page.read(&mut [0; 1])).await.is_err());
    assert_eq!(proxy.counts().refused, 1);
}

#[tokio::test]
async fn frozen_bytes_go_on_when_it_thaws() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    proxy.freeze(true);
    server.write_all(b"held").await.unwrap();
    let mut four = [0; 4];
    let early = tokio::time::timeout(Duration::from_millis(100), page.read_exact(&mut four)).await;
    assert!(early.is_err(), "nothing comes through while it is frozen");
    proxy.freeze(false);
    within(page.read_exact(&mut four)).await.unwrap();
    assert_eq!(&four, b"held");
}

#[tokio::test]
async fn a_switch_refuses_until_it_is_off() {
    let (proxy, _listener, _page, _server) = pair().await;
    proxy.refuse(true);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(matches!(within(refused.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    proxy.refuse(false);
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.refused), (1, 1));
}

#[tokio::test]
async fn a_stalled_connection_stays_open_and_carries_nothing_more() {
    let (proxy, listener, mut page, mut server) = pair().await;
    let moved = proxy.moved();
    server.write_all(b"x").await.unwrap();
    within(moved).await;
    assert_eq!(proxy.cut(How::Stall), Cut { connections: 1, bit: true });
    within(proxy.quiet()).await;
    let mut one = [0; 1];
    within(page.read_exact(&mut one)).await.unwrap();
    server.write_all(b"lost").await.unwrap();
    page.write_all(b"lost").await.unwrap();
    // Neither a later cut nor the end of the server's side brings it back.
    proxy.cut(How::Reset);
    drop(server);
    let silent = tokio::time::timeout(Duration::from_millis(100), page.read(&mut one)).await;
    assert!(silent.is_err(), "{silent:?}");
    // A new one is as good as ever.
    let mut page = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    server.write_all(b"x").await.unwrap();
    within(page.read_exact(&mut one)).await.unwrap();
}

#[tokio::test]
async fn a_stalled_connection_ends_with_the_page_that_leaves_it() {
    let (proxy, _listener, page, mut server) = pair().await;
    proxy.cut(How::Stall);
    within(proxy.quiet()).await;
    drop(page);
    within(server.read_to_end(&mut Vec::new())).await.unwrap();
}

#[tokio::test]
async fn a_close_frame_comes_behind_a_whole_frame_and_its_answer_is_awaited() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    let made = proxy.arm(Spot::Behind, How::Close(4453));
    let sent = frame_of_events();
    server.write_all(&[sent.as_slice(), b"\x81\x04more"].concat()).await.unwrap();
    assert!(within(made).await.unwrap().bit);
    let mut got = vec![0; sent.len() + 4];
    within(page.read_exact(&mut got)).await.unwrap();
    assert_eq!(got[..sent.len()], sent);
    assert_eq!(got[sent.len()..], [0x88, 2, 0x11, 0x65]);
    let started = Instant::now();
    page.write_all(b"\x81\x82mask--\x88\x82mask\x11\x65").await.unwrap();
    assert_eq!(within(page.read(&mut [0; 1])).await.unwrap(), 0);
    assert!(started.elapsed() < ANSWER, "the answer is recognised");
    assert!(within(server.read(&mut [0; 1])).await.is_err());
}

#[tokio::test]
async fn weather_delays_and_throttles_until_it_clears() {
    let (proxy, _listener, mut page, mut server) = pair().await;
    let latency = Duration::from_millis(120);
    proxy.weather(Weather { latency, jitter: Duration::from_millis(20), ..Weather::default() });
    let started = Instant::now();
    server.write_all(b"x").await.unwrap();
    within(page.read_exact(&mut [0; 1])).await.unwrap();
    assert!(started.elapsed() >= latency, "{:?}", started.elapsed());

    proxy.weather(Weather { rate: Some(10_000), ..Weather::default() });
    let started = Instant::now();
    page.write_all(&[0; 4000]).await.unwrap();
    within(server.read_exact(&mut [0; 4000])).await.unwrap();
    // The last of eight pieces needs no wait.
    assert!(started.elapsed() >= 7 * BEAT, "{:?}", started.elapsed());

    proxy.weather(Weather::default());
    // What was in the slow pump's hands is over when this is through.
    let started = Instant::now();
    page.write_all(&[0; 60_000]).await.unwrap();
    within(server.read_exact(&mut [0; 60_000])).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
