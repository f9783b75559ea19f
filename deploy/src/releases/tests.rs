//! The way back, and what is kept of it. No engine and no file are needed for that.

use super::*;

/// A record in which `number` has just been brought up, as [`Releases::record`] does it.
fn up(releases: &mut Releases, number: u32) {
    if releases.get(number).is_none() {
        releases.last = number;
        releases.kept.push(Release {
            number,
            at: String::new(),
            compose: String::new(),
            images: BTreeMap::new(),
        });
    }
    releases.arrive(number);
    releases.trim();
}

fn ups(numbers: &[u32]) -> Releases {
    let mut releases = Releases::default();
    for number in numbers {
        up(&mut releases, *number);
    }
    releases
}

/// Goes back as `deploy rollback` does; `None` where there is no way.
fn back(releases: &mut Releases) -> Option<u32> {
    let number = releases.previous().ok()?.number;
    releases.withdraw(number);
    releases.arrive(number);
    Some(number)
}

#[test]
fn each_rollback_goes_one_further_back() {
    let mut releases = ups(&[1, 2, 3]);
    assert_eq!(back(&mut releases), Some(2));
    assert_eq!(back(&mut releases), Some(1));
    assert_eq!(back(&mut releases), None);
    assert_eq!(back(&mut Releases::default()), None);
}

#[test]
fn it_goes_back_to_what_ran_before_not_to_the_lower_number() {
    // A, B, A again, C.
    let mut releases = ups(&[1, 2, 1, 3]);
    assert_eq!(back(&mut releases), Some(1));
    assert_eq!(back(&mut releases), Some(2));
}

#[test]
fn it_never_goes_back_to_what_was_rolled_back() {
    // A, the bad B, back to A, C.
    let mut releases = ups(&[1, 2]);
    assert_eq!(back(&mut releases), Some(1));
    up(&mut releases, 3);
    assert_eq!(back(&mut releases), Some(1));
    assert_eq!(back(&mut releases), None);
    let rolled_back: Vec<(u32, bool)> = releases
        .history()
        .iter()
        .map(|it| (it.number, it.rolled_back))
        .collect();
    assert_eq!(
        rolled_back,
        [(1, true), (2, true), (1, true), (3, true), (1, false)]
    );
}

#[test]
fn what_served_is_kept_before_what_has_a_higher_number() {
    let mut releases = ups(&[1, 2, 3, 4, 5, 1, 6]);
    assert!(releases.get(2).is_none(), "it ran longest ago");
    assert_eq!(back(&mut releases), Some(1));
    // Versions that were rolled back don't displace what is on the way back.
    let mut releases = ups(&[1, 2]);
    for bad in 3..20 {
        up(&mut releases, bad);
        assert_eq!(back(&mut releases), Some(2));
    }
    assert_eq!(releases.kept.len(), KEPT);
    assert_eq!(back(&mut releases), Some(1));
}

#[test]
fn however_often_two_take_turns_the_history_is_bounded() {
    let mut releases = ups(&[1, 2, 3]);
    for number in (0..1000).map(|turn| 2 + turn % 2) {
        up(&mut releases, number);
    }
    assert_eq!(releases.history().len(), MOST_RUNS);
}

#[test]
fn what_did_not_come_to_its_end_is_no_release() {
    let mut releases = ups(&[1, 2, 3]);
    releases.begun = Some(Begun::Up);
    assert_eq!(releases.previous().unwrap().number, 3);
    // A rollback that was interrupted is taken up again, and doesn't turn round.
    releases.begun = Some(Begun::Rollback(2));
    assert_eq!(back(&mut releases), Some(2));
    assert_eq!(releases.begun(), None);
    assert_eq!(back(&mut releases), Some(1));
}

#[test]
fn a_record_without_a_history_is_read_as_it_was_meant() {
    let release = |number: u32| {
        format!(r#"{{"number":{number},"at":"t{number}","compose":"","images":{{}}}}"#)
    };
    let record = |current: u32, unfinished: bool| {
        let kept = [4, 5, 6].map(release).join(",");
        let text = format!(r#"{{"current":{current},"unfinished":{unfinished},"kept":[{kept}]}}"#);
        file::parse(text.as_bytes()).unwrap()
    };
    let mut releases = record(6, false);
    assert_eq!(back(&mut releases), Some(5));
    // Rolled back to 5: 6 isn't on the way back, and the next one is 7.
    let mut releases = record(5, false);
    assert_eq!(releases.current(), Some(5));
    assert_eq!(releases.last, 6);
    assert_eq!(back(&mut releases), Some(4));
    assert_eq!(record(6, true).previous().unwrap().number, 6);
    let none = file::parse(br#"{"current":null,"unfinished":false,"kept":[]}"#).unwrap();
    assert_eq!(none.current(), None);
    assert!(file::parse(br#"{"current":1,"kept":[],"unknown":1}"#).is_err());
}
