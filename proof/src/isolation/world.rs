//! Who there is, who may do what, and the marks by which an event shows whose it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Users who share a thread.
const GROUP: usize = 12;

/// What the users of a group may do with its thread, in turn.
const ROLES: [&[&str]; 6] = [
    &["read", "write", "approve", "manage"],
    &["read", "write"],
    &["read"],
    &["read", "approve"],
    &[],
    &["write"],
];

/// How a mark begins; hexadecimal digits follow.
const MARK: &str = "mk-";

/// Hexadecimal digits of a mark.
const DIGITS: usize = 16;

/// Everybody and everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) users: usize,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    by_place: HashMap<(String, String), String>,
    by_text: HashMap<String, Marked>,
    /// Ids of others under which somebody sent something: by user, stream and id.
    borrowed: HashSet<(String, String, String)>,
}

/// What a mark says: who wrote it, and to which stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) user: String,
    pub(crate) stream: String,
}

impl World {
    pub(crate) fn new(users: usize) -> Self {
        Self { users, marks: Mutex::default() }
    }

    /// The name of user number `n`.
    pub(crate) fn user(n: usize) -> String {
        format!("u-{n}")
    }

    /// The thread that user number `n` shares with others.
    pub(crate) fn shared(n: usize) -> String {
        format!("shared-{}", n / GROUP)
    }

    /// Whether user number `n` is the one of its group who asks.
    pub(crate) fn asks(n: usize) -> bool {
        n.is_multiple_of(GROUP)
    }

    /// The shared threads with the rights of their users, as the server gets them.
    pub(crate) fn shares(&self) -> Value {
        let mut threads: BTreeMap<String, BTreeMap<String, &[&str]>> = BTreeMap::new();
        for n in 0..self.users {
            threads.entry(Self::shared(n)).or_default().insert(Self::user(n), ROLES[n % GROUP % ROLES.len()]);
        }
        json!(threads)
    }

    /// Whether a user may do something with a stream that they call `name`.
    pub(crate) fn may(&self, right: &str, user: &str, name: &str) -> bool {
        if !self.is_shared(name) {
            return name != "inbox" || right == "read";
        }
        let number =
            user.strip_prefix("u-").and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < self.users);
        number.is_some_and(|n| Self::shared(n) == name && ROLES[n % GROUP % ROLES.len()].contains(&right))
    }

    /// The stream that a user means by `name`: a shared one, or one of the user's own.
    pub(crate) fn stream(&self, user: &str, name: &str) -> String {
        if self.is_shared(name) { name.to_owned() } else { format!("{user}\0{name}") }
    }

    fn is_shared(&self, name: &str) -> bool {
        let number = name.strip_prefix("shared-").and_then(|n| n.parse::<usize>().ok());
        number.is_some_and(|n| n <= (self.users - 1) / GROUP && Self::shared(n * GROUP) == name)
    }

    /// The mark of what a user writes to a stream.
    pub(crate) fn mark(&self, user: &str, name: &str) -> String {
        let stream = self.stream(user, name);
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (user.to_owned(), stream.clone());
        if let Some(mark) = marks.by_place.get(&place) {
            return mark.clone();
        }
        let mark = format!("{MARK}{:0DIGITS$x}", fastrand::u64(..));
        marks.by_text.insert(mark.clone(), Marked { user: user.to_owned(), stream });
        marks.by_place.insert(place, mark.clone());
        mark
    }

    /// Whether a user wrote to a stream of that name.
    pub(crate) fn is_known(&self, user: &str, name: &str) -> bool {
        let place = (user.to_owned(), self.stream(user, name));
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).by_place.contains_key(&place)
    }

    /// What the marks in a text say; `None` for one that nobody was given.
    pub(crate) fn marks_in(&self, text: &str) -> Vec<Option<Marked>> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let places = text.match_indices(MARK).map(|(at, _)| at);
        let found = places.filter_map(|at| text.get(at..at + MARK.len() + DIGITS));
        // A seal can hold the letters by chance.
        let is_mark = |mark: &&str| mark[MARK.len()..].bytes().all(|digit| digit.is_ascii_hexdigit());
        found.filter(is_mark).map(|mark| marks.by_text.get(mark).cloned()).collect()
    }

    /// A user sends something under an id of another one: from now on this user's events there may carry it.
    pub(crate) fn borrow(&self, user: &str, name: &str, id: &str) {
        let borrowed = (user.to_owned(), self.stream(user, name), id.to_owned());
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).borrowed.insert(borrowed);
    }

    pub(crate) fn is_borrowed(&self, user: &str, stream: &str, id: &str) -> bool {
        let borrowed = (user.to_owned(), stream.to_owned(), id.to_owned());
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).borrowed.contains(&borrowed)
    }
}

/// A message whose every trace carries the mark of its user and stream.
pub(crate) fn message(world: &World, user: &str, name: &str, more: Value) -> Value {
    let mark = world.mark(user, name);
    let mut message =
        json!({ "type": "user_message", "content": format!("{mark} {mark} {mark}"), "mark": mark });
    if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
        message.extend(more);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_streams_belong_to_one_user_and_shared_ones_to_a_group() {
        let world = World::new(24);
        assert!(world.may("write", "u-3", "plan-u-3") && !world.may("write", "u-3", "inbox"));
        assert!(world.may("manage", "u-12", "shared-1") && !world.may("read", "u-12", "shared-0"));
        assert!(!world.may("read", "u-4", "shared-0") && !world.may("read", "u-5", "shared-0"));
        assert_eq!(world.stream("u-1", "shared-1"), world.stream("u-2", "shared-1"));
        assert_ne!(world.stream("u-1", "shared-2"), world.stream("u-2", "shared-2"), "no such thread");
        assert_eq!(world.shares()["shared-1"]["u-14"], json!(["read"]));
    }

    #[test]
    fn marks_say_who_wrote_and_where() {
        let world = World::new(2);
        let mark = world.mark("u-0", "plan");
        assert_eq!(mark, world.mark("u-0", "plan"));
        let of = world.marks_in(&format!("a {mark} and mk-0000000000000000, mk-8EOHyQRpSyTAA-x and mk-"));
        let own = Marked { user: "u-0".to_owned(), stream: world.stream("u-0", "plan") };
        assert_eq!(of, [Some(own), None]);
    }
}
