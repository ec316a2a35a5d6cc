//! The thread that writes for everyone.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ledger::{Change, Error, Ledger, MAX_GROUP, MAX_QUEUE, Reader, State, Trust, Writer};
use rusqlite::Connection;

use crate::sample::{ban, fresh, seconds};

fn bans(number: usize, count: usize) -> Vec<Change> {
    let address = |number: usize| format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
    (number * count..(number + 1) * count).map(|number| Change::Ban(ban(&address(number)))).collect()
}

fn total(path: &std::path::Path) -> u64 {
    Reader::open(path).unwrap().counts(seconds(0)).unwrap().total
}

#[test]
fn everything_is_written_and_confirmed_in_order() {
    let (_directory, path, ledger) = fresh();
    let writer = Writer::spawn(ledger).unwrap();
    let (sender, confirmed) = channel();
    for number in 0..200 {
        let sender = sender.clone();
        writer.post(bans(1000 + number, 3)).unwrap();
        let done = move |result: Result<(), Error>| sender.send((number, result)).unwrap();
        writer.send(bans(number, 10), done).unwrap();
    }
    drop(sender);
    let confirmed: Vec<_> = confirmed.iter().collect();
    assert_eq!(confirmed, (0..200).map(|number| (number, Ok(()))).collect::<Vec<_>>());
    assert_eq!(total(&path), 200 * 13);
    assert_eq!(writer.close(), State::default());
}

#[test]
fn dropping_it_writes_what_waits() {
    let (_directory, path, ledger) = fresh();
    let writer = Writer::spawn(ledger).unwrap();
    for number in 0..100 {
        writer.post(bans(number, 100)).unwrap();
    }
    drop(writer);
    assert_eq!(total(&path), 10_000);
}

#[test]
fn who_asks_hears_of_the_failure_and_the_rest_is_tried_again() {
    let (_directory, path, ledger) = fresh();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = Writer::spawn(ledger).unwrap();
    writer.post(bans(0, 10)).unwrap();
    let (sender, result) = channel();
    writer.send(bans(1, 10), move |result| sender.send(result).unwrap()).unwrap();
    let locked = Error::Locked { path: path.clone() };
    assert_eq!(result.recv().unwrap(), Err(locked.clone()));
    let state = wait(&writer, |state| state.queued == 10);
    assert!(state.failing_since.is_some());
    assert_eq!((state.last_error, state.lost), (Some(locked.to_string()), 0));

    other.execute_batch("COMMIT").unwrap();
    let state = wait(&writer, |state| state.queued == 0);
    assert_eq!((state.failing_since, state.lost), (None, 0));
    assert_eq!(total(&path), 10, "those that were refused are not written later");

    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.post(bans(2, 10)).unwrap();
    assert_eq!(writer.close().lost, 10);
}

#[test]
fn a_full_queue_gives_back_what_it_has_no_room_for() {
    let (_directory, path, ledger) = fresh();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = Writer::spawn(ledger).unwrap();
    let fits = MAX_QUEUE / MAX_GROUP;
    for number in 0..fits {
        writer.post(bans(number, MAX_GROUP)).unwrap();
    }
    let more = bans(fits, MAX_GROUP);
    assert_eq!(writer.post(more.clone()).unwrap_err().0, more);
    let never = |_result| panic!("it was not taken");
    assert_eq!(writer.send(more.clone(), never).unwrap_err().0, more);
    assert_eq!(writer.state().refused, 2 * MAX_GROUP as u64);
    other.execute_batch("COMMIT").unwrap();
    wait(&writer, |state| state.queued == 0);
    writer.post(more).unwrap();
    assert_eq!(writer.close().lost, 0);
    assert_eq!(total(&path), ((fits + 1) * MAX_GROUP) as u64);
}

#[test]
fn a_batch_that_is_refused_for_what_it_is_harms_no_other() {
    let (_directory, path, ledger) = fresh();
    let bounds = ledger::Bounds { trust: 0, ..ledger::Bounds::default() };
    // Held until all three wait, so that they share a transaction.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = Writer::spawn(Ledger::with_bounds(ledger, bounds)).unwrap();
    let trust = Trust { what: "10.0.0.1".to_owned(), note: String::new(), since: seconds(0) };
    let (sender, results) = channel();
    for changes in [bans(0, 5), vec![Change::Trust(trust)], bans(1, 5)] {
        let sender = sender.clone();
        writer.send(changes, move |result| sender.send(result).unwrap()).unwrap();
    }
    other.execute_batch("COMMIT").unwrap();
    let results: Vec<_> = results.iter().take(3).collect();
    assert_eq!(results, [Ok(()), Err(Error::TrustFull { limit: 0 }), Ok(())]);
    assert_eq!(total(&path), 10);
}

fn wait(writer: &Writer, until: impl Fn(&State) -> bool) -> State {
    let start = Instant::now();
    loop {
        let state = writer.state();
        if until(&state) {
            return state;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{state:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
