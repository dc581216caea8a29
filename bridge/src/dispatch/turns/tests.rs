use futures_util::FutureExt;

use super::*;

fn turns(max: usize, max_per_user: usize) -> Arc<Turns> {
    Arc::new(Turns::new(max, max_per_user))
}

/// Begins to wait, and says whether it is over at once.
macro_rules! wait {
    ($turns:expr, $user:expr, $rank:expr) => {{
        let (turns, user) = (Arc::clone(&$turns), Arc::<str>::from($user));
        let mut waiting = Box::pin(async move { turns.permit(&user, $rank).await });
        let permit = (&mut waiting).now_or_never();
        (waiting, permit)
    }};
}

fn running(turns: &Arc<Turns>) -> usize {
    turns.lock().running
}

#[test]
fn one_user_takes_no_more_than_its_part_and_users_are_served_in_turn() {
    let turns = turns(3, 2);
    let (_, first) = wait!(turns, "ada", Rank::New);
    let (_, second) = wait!(turns, "ada", Rank::New);
    let (mut third, none) = wait!(turns, "ada", Rank::New);
    assert!(first.is_some() && second.is_some() && none.is_none());
    // The user waits, the others do not.
    let (_, bob) = wait!(turns, "bob", Rank::New);
    assert!(bob.is_some());
    let (mut later, none) = wait!(turns, "ada", Rank::New);
    assert!(none.is_none());
    let (mut eve, none) = wait!(turns, "eve", Rank::New);
    assert!(none.is_none());
    // Ada waits for longer, but has her part; with a place of hers free she is first, and then it is Eve's turn.
    drop(bob);
    let eve = (&mut eve).now_or_never();
    assert!(eve.is_some() && (&mut third).now_or_never().is_none());
    drop(first);
    let third = (&mut third).now_or_never();
    assert!(third.is_some() && (&mut later).now_or_never().is_none());
    drop((second, third, eve));
    assert!((&mut later).now_or_never().is_some());
    assert!(turns.lock().users.is_empty() && turns.lock().order.is_empty());
    assert_eq!(running(&turns), 0);
}

#[test]
fn what_waits_no_more_takes_no_place() {
    let turns = turns(1, 1);
    let (_, first) = wait!(turns, "ada", Rank::New);
    let (gone, _) = wait!(turns, "ada", Rank::New);
    let (gone_too, _) = wait!(turns, "bob", Rank::New);
    let (mut last, _) = wait!(turns, "bob", Rank::New);
    drop((gone, gone_too));
    drop(first);
    let last = (&mut last).now_or_never();
    assert!(last.is_some());
    // One that was given a place and never took it gives it back as well.
    let (given, _) = wait!(turns, "ada", Rank::New);
    drop(last);
    assert_eq!(running(&turns), 1);
    drop(given);
    assert_eq!(running(&turns), 0);
    assert!(turns.lock().users.is_empty() && turns.lock().order.is_empty());
}

fn place(turns: &Arc<Turns>, user: &str) -> Arc<Place> {
    let user = Arc::<str>::from(user);
    let permit = turns.permit(&user, Rank::New).now_or_never().unwrap();
    Place::new(Arc::clone(turns), user, permit)
}

#[test]
fn a_place_is_free_while_a_person_is_asked_and_taken_again_before_new_turns() {
    let turns = turns(1, 1);
    let one = place(&turns, "ada");
    let pause = Arc::clone(&one).pause();
    let other = place(&turns, "ada");
    let (mut new, _) = wait!(turns, "ada", Rank::New);
    let mut back = Box::pin(pause.end());
    assert!((&mut back).now_or_never().is_none(), "the agent went on without a place");
    other.end();
    assert!((&mut back).now_or_never().is_some());
    assert!((&mut new).now_or_never().is_none());
    one.end();
    assert!((&mut new).now_or_never().is_some());
}

#[test]
fn a_question_that_is_dropped_counts_its_turn_at_once() {
    let turns = turns(1, 1);
    let one = place(&turns, "ada");
    let pause = Arc::clone(&one).pause();
    let other = place(&turns, "bob");
    drop(pause);
    assert_eq!(running(&turns), 2);
    let (mut new, _) = wait!(turns, "eve", Rank::New);
    other.end();
    assert!((&mut new).now_or_never().is_none());
    one.end();
    assert!((&mut new).now_or_never().is_some());
    // Also one that was answered, and dropped while it waited for its place.
    drop(new);
    let one = place(&turns, "ada");
    let pause = Arc::clone(&one).pause();
    let other = place(&turns, "bob");
    let mut back = Box::pin(pause.end());
    assert!((&mut back).now_or_never().is_none());
    drop(back);
    assert_eq!(running(&turns), 2);
    one.end();
    other.end();
    assert_eq!(running(&turns), 0);
}

#[test]
fn several_questions_of_a_turn_take_one_place_and_none_after_its_end() {
    let turns = turns(4, 4);
    let one = place(&turns, "ada");
    let (first, second) = (Arc::clone(&one).pause(), Arc::clone(&one).pause());
    assert_eq!(running(&turns), 0);
    first.end().now_or_never().unwrap();
    assert_eq!(running(&turns), 1);
    second.end().now_or_never().unwrap();
    assert_eq!(running(&turns), 1);
    let (third, fourth) = (Arc::clone(&one).pause(), Arc::clone(&one).pause());
    one.end();
    drop(third);
    fourth.end().now_or_never().unwrap();
    assert_eq!(running(&turns), 0);
}
