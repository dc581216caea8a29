[
    (
        "idle",
        [
            "connecting, connect", // connect
            "connecting, connect", // adopt
            "closed, closed", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            ".", // page left
            ".", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            ".", // deadline
        ],
    ),
    (
        "connecting: token",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            "offline, page_left", // page left
            ".", // page back
            ".", // wake
            ".", // token
            "waiting, token_failed", // no token
            "failed, token_failed", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            "waiting, token_timeout", // deadline
        ],
    ),
    (
        "connecting: socket",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            "offline, page_left", // page left
            ".", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            "failed, unsupported_protocol", // other protocol
            ".", // welcome
            "waiting, bad_server_frame", // bad frame
            ".", // goaway now
            "waiting, connection_lost", // lost
            "waiting, bad_frame", // rejected
            "failed, forbidden", // refused
            "waiting, connection_lost", // deadline
        ],
    ),
    (
        "connecting: welcome",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            "offline, page_left", // page left
            ".", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            "connected, welcome", // welcome
            "waiting, bad_server_frame", // bad frame
            "connecting, going_away", // goaway now
            "waiting, connection_lost", // lost
            "waiting, bad_frame", // rejected
            "failed, forbidden", // refused
            "waiting, welcome_timeout", // deadline
        ],
    ),
    (
        "connected",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            "offline, page_left", // page left
            ".", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            "waiting, bad_server_frame", // welcome
            "waiting, bad_server_frame", // bad frame
            "connecting, going_away", // goaway now
            "waiting, connection_lost", // lost
            "waiting, bad_frame", // rejected
            "failed, forbidden", // refused
            "waiting, heartbeat_timeout", // deadline
        ],
    ),
    (
        "waiting",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            "connecting, reconnect", // reconnect
            "waiting, retry", // retry in
            "connecting, online", // online
            "offline, offline", // offline
            "offline, page_left", // page left
            ".", // page back
            "connecting, wake", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            "connecting, retry", // deadline
        ],
    ),
    (
        "offline",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            "connecting, reconnect", // reconnect
            ".", // retry in
            "connecting, online", // online
            ".", // offline
            ".", // page left
            ".", // page back
            "connecting, wake", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            "connecting, retry", // deadline
        ],
    ),
    (
        "page left",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            ".", // page left
            "connecting, page_back", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            ".", // deadline
        ],
    ),
    (
        "failed",
        [
            ".", // connect
            ".", // adopt
            "closed, closed", // close
            "connecting, reconnect", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            ".", // page left
            ".", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            ".", // deadline
        ],
    ),
    (
        "closed",
        [
            ".", // connect
            ".", // adopt
            ".", // close
            ".", // reconnect
            ".", // retry in
            ".", // online
            ".", // offline
            ".", // page left
            ".", // page back
            ".", // wake
            ".", // token
            ".", // no token
            ".", // no token ever
            ".", // opened
            ".", // other protocol
            ".", // welcome
            ".", // bad frame
            ".", // goaway now
            ".", // lost
            ".", // rejected
            ".", // refused
            ".", // deadline
        ],
    ),
]
