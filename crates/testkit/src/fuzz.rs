//! A small fuzzer on the stable toolchain, for the crates' `tests/fuzz`: it mutates a corpus, and
//! keeps what shows an outcome that was not seen before.
//!
//! In `make test` it does a fixed number of runs from a fixed seed, so that the same sources always
//! get the same inputs. `make fuzz` gives it `FUZZ_SECONDS`, and a seed that changes.

use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant, SystemTime};

use crate::{repository, scratch};

pub mod settings;

/// The longest input; what has a limit is reached with less.
const LONGEST: usize = 4096;
/// Most inputs that are kept for mutation beside the corpus.
const MOST_KEPT: usize = 2000;

/// Feeds `check` with everything in `tests/fuzz/corpus/TARGET`, then with `runs` mutations of it, or as
/// many as `FUZZ_SECONDS` has room for.
///
/// `check` panics where a property doesn't hold, and otherwise names the outcome: the kind of error,
/// the shape of the result. `dictionary` has what random bytes would hardly ever hit upon.
#[expect(clippy::print_stdout, reason = "it is shown with the test's result")]
pub fn run(
    target: &str,
    dictionary: &[impl AsRef<[u8]>],
    runs: u64,
    check: impl Fn(&[u8]) -> String,
) {
    let corpus = repository().join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut pool: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!pool.is_empty(), "{} is empty", corpus.display());

    let mut outcomes = HashSet::new();
    for input in &pool {
        outcomes.insert(guarded(target, input, &check));
    }
    let seeds = pool.len();
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .map(|text| Duration::from_secs(text.parse().expect("FUZZ_SECONDS is a number")));
    let seed = seconds.map_or(0, |_| {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or_default()
    });
    let mut random = Random(seed);
    let started = Instant::now();
    let mut done = 0;
    while seconds.map_or(done < runs, |limit| started.elapsed() < limit) {
        let input = mutate(&pool, dictionary, &mut random);
        if outcomes.insert(guarded(target, &input, &check)) && pool.len() < seeds + MOST_KEPT {
            pool.push(input);
        }
        done += 1;
    }
    println!(
        "{target}: {done} runs in {:.1?} from {seeds} seeds, {} outcomes, seed {seed}",
        started.elapsed(),
        outcomes.len()
    );
}

#[expect(clippy::print_stdout, reason = "who fuzzes looks for it there")]
/// Runs `check`; keeps an input that fails where it can be found and added to the corpus.
fn guarded(target: &str, input: &[u8], check: impl Fn(&[u8]) -> String) -> String {
    catch_unwind(AssertUnwindSafe(|| check(input))).unwrap_or_else(|panic| {
        let directory = scratch().join("fuzz").join(target);
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let file = directory.join(format!("{hash:016x}"));
        fs::create_dir_all(&directory).expect("the target directory takes files");
        fs::write(&file, input).expect("the target directory takes files");
        println!(
            "{target}: fails on {}: {}",
            file.display(),
            input.escape_ascii()
        );
        println!("{target}: once it is understood, add it to tests/fuzz/corpus/{target}");
        resume_unwind(panic)
    })
}

/// One of the inputs, changed in one to eight places.
fn mutate(pool: &[Vec<u8>], dictionary: &[impl AsRef<[u8]>], random: &mut Random) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let end = at + random.below((input.len() - at).min(32) + 1);
        let byte = u8::try_from(random.below(256)).unwrap_or_default();
        match random.below(9) {
            0 => input.insert(at, byte),
            1 => drop(input.drain(at..end)),
            2 if at < input.len() => input[at] = byte,
            3 if at < input.len() => input[at] ^= 1 << random.below(8),
            4 | 5 if !dictionary.is_empty() => {
                let word = &dictionary[random.below(dictionary.len())];
                input.splice(at..at, word.as_ref().iter().copied());
            }
            6 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            7 => {
                let other = &pool[random.below(pool.len())];
                let from = random.below(other.len() + 1);
                let to = from + random.below((other.len() - from).min(64) + 1);
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ if !dictionary.is_empty() => {
                let word = &dictionary[random.below(dictionary.len())];
                input.splice(at..end, word.as_ref().iter().copied());
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(LONGEST);
    input
}

/// `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or_default() % end
    }
}
