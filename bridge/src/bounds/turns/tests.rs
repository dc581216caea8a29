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
    turns.state.lock().running
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
    // Ada waits for longer, but has her part; with a permit of hers free she is first, and then it is Eve's turn.
    drop(bob);
    let eve = (&mut eve).now_or_never();
    assert!(eve.is_some() && (&mut third).now_or_never().is_none());
    drop(first);
    let third = (&mut third).now_or_never();
    assert!(third.is_some() && (&mut later).now_or_never().is_none());
    drop((second, third, eve));
    assert!((&mut later).now_or_never().is_some());
    assert!(turns.state.lock().users.is_empty() && turns.state.lock().order.is_empty());
    assert_eq!(running(&turns), 0);
}

#[test]
fn what_waits_no_more_takes_no_permit() {
    let turns = turns(1, 1);
    let (_, first) = wait!(turns, "ada", Rank::New);
    let (gone, _) = wait!(turns, "ada", Rank::New);
    let (gone_too, _) = wait!(turns, "bob", Rank::New);
    let (mut last, _) = wait!(turns, "bob", Rank::New);
    drop((gone, gone_too));
    drop(first);
    let last = (&mut last).now_or_never();
    assert!(last.is_some());
    // One that was given a permit and never took it gives it back as well.
    let (given, _) = wait!(turns, "ada", Rank::New);
    drop(last);
    assert_eq!(running(&turns), 1);
    drop(given);
    assert_eq!(running(&turns), 0);
    assert!(turns.state.lock().users.is_empty() && turns.state.lock().order.is_empty());
}

fn turn(turns: &Arc<Turns>, user: &str) -> Arc<TurnPermit> {
    let user = Arc::<str>::from(user);
    let permit = turns.permit(&user, Rank::New).now_or_never().unwrap();
    TurnPermit::new(Arc::clone(turns), user, permit)
}

#[test]
fn a_permit_is_free_while_a_person_is_asked_and_taken_again_before_new_turns() {
    let turns = turns(1, 1);
    let one = turn(&turns, "ada");
    let pause = Arc::clone(&one).pause();
    let other = turn(&turns, "ada");
    let (mut new, _) = wait!(turns, "ada", Rank::New);
    let mut back = Box::pin(pause.end());
    assert!((&mut back).now_or_never().is_none(), "the agent went on without a permit");
    other.end();
    assert!((&mut back).now_or_never().is_some());
    assert!((&mut new).now_or_never().is_none());
    one.end();
    assert!((&mut new).now_or_never().is_some());
}

/// How many turns of a user are worked on, and how many wait for a person.
fn turns_of(turns: &Arc<Turns>, user: &str) -> (usize, usize) {
    turns.state.lock().users.get(user).map_or((0, 0), |user| (user.running, user.paused))
}

#[test]
fn a_question_that_is_dropped_counts_its_turn_for_its_user_alone() {
    let turns = turns(1, 1);
    let one = turn(&turns, "ada");
    let pause = Arc::clone(&one).pause();
    assert_eq!((running(&turns), turns_of(&turns, "ada")), (0, (0, 1)));
    let other = turn(&turns, "bob");
    drop(pause);
    assert_eq!((running(&turns), turns_of(&turns, "ada")), (1, (1, 0)));
    let (mut more, _) = wait!(turns, "ada", Rank::New);
    let (mut new, _) = wait!(turns, "eve", Rank::New);
    other.end();
    // Others are not held up, and the user has its part.
    let new = (&mut new).now_or_never();
    assert!(new.is_some() && (&mut more).now_or_never().is_none());
    drop(new);
    assert!((&mut more).now_or_never().is_none());
    one.end();
    let more = (&mut more).now_or_never();
    assert!(more.is_some());
    drop(more);
    // Also one that was answered, and dropped while it waited for its permit.
    let one = turn(&turns, "ada");
    let pause = Arc::clone(&one).pause();
    let other = turn(&turns, "bob");
    let mut back = Box::pin(pause.end());
    assert!((&mut back).now_or_never().is_none());
    drop(back);
    assert_eq!((running(&turns), turns_of(&turns, "ada")), (1, (1, 0)));
    one.end();
    other.end();
    assert_eq!(running(&turns), 0);
    let (_, last) = wait!(turns, "eve", Rank::New);
    drop(last);
    assert!(turns.state.lock().users.is_empty() && turns.state.lock().order.is_empty());
}

#[test]
fn turns_of_one_user_are_bounded_with_those_that_wait_for_a_person() {
    let turns = turns(4, 1);
    let mut turns_begun = Vec::new();
    let mut pauses = Vec::new();
    for _ in 0..TURNS_PER_PERMIT {
        let turn = turn(&turns, "ada");
        pauses.push(Arc::clone(&turn).pause());
        turns_begun.push(turn);
    }
    let (mut more, none) = wait!(turns, "ada", Rank::New);
    let (_, bob) = wait!(turns, "bob", Rank::New);
    assert!(none.is_none() && bob.is_some());
    // One that was begun is none too many.
    pauses.remove(0).end().now_or_never().unwrap();
    assert_eq!(turns_of(&turns, "ada"), (1, TURNS_PER_PERMIT - 1));
    // However many go on at once, the others have their permits, and the user begins nothing.
    pauses.clear();
    assert_eq!((running(&turns), turns_of(&turns, "ada")), (2, (TURNS_PER_PERMIT, 0)));
    for turn in turns_begun.drain(1..) {
        turn.end();
        assert!((&mut more).now_or_never().is_none());
    }
    turns_begun.remove(0).end();
    assert!((&mut more).now_or_never().is_some());
}

#[test]
fn two_questions_that_are_answered_at_once_wait_for_one_permit() {
    let turns = turns(1, 1);
    let one = turn(&turns, "ada");
    let (first, second) = (Arc::clone(&one).pause(), Arc::clone(&one).pause());
    let other = turn(&turns, "ada");
    let mut both = Box::pin(futures_util::future::join(first.end(), second.end()));
    assert!((&mut both).now_or_never().is_none(), "the agent went on without a permit");
    other.end();
    // The one that is polled later may have the permit that the other one is notified of.
    let is_over = (&mut both).now_or_never().is_some() || (&mut both).now_or_never().is_some();
    assert!(is_over, "the turn waits for a second permit");
    assert_eq!((running(&turns), turns_of(&turns, "ada")), (1, (1, 0)));
    // One is dropped while the other waits: the turn goes on already.
    let (first, second) = (Arc::clone(&one).pause(), Arc::clone(&one).pause());
    let other = turn(&turns, "ada");
    let mut back = Box::pin(second.end());
    assert!((&mut back).now_or_never().is_none());
    drop(first);
    assert!((&mut back).now_or_never().is_some(), "the turn waits for a permit it does not need");
    other.end();
    // Nor does a question wait that outlives its turn.
    let pause = Arc::clone(&one).pause();
    let other = turn(&turns, "ada");
    let mut back = Box::pin(pause.end());
    assert!((&mut back).now_or_never().is_none());
    one.end();
    assert!((&mut back).now_or_never().is_some());
    other.end();
    assert!(turns.state.lock().users.is_empty());
    assert_eq!(running(&turns), 0);
}

#[test]
fn several_questions_of_a_turn_take_one_permit_and_none_after_its_end() {
    let turns = turns(4, 4);
    let one = turn(&turns, "ada");
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
