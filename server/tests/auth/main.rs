//! Who may use the server: tokens, key sets, service keys and rights, against real keys and servers on this machine.

mod jwks;
mod outbound;
mod rights;
mod site;
mod support;
mod tls;
mod tokens;
