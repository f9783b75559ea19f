//! Works through lessons, several at a time, and leaves the engine as it was.

use std::time::Instant;

use engine::Engine;
use engine::error::Result;
use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use super::lesson::{Lesson, Step};
use super::lessons;
use super::machines;
use super::needs::{Facts, Need};
use super::report::{LessonReport, Report};
use super::run::Run;
use super::sweep::{self, Leftover};

/// Lessons at once. Most of their time is waiting for the engine, which works on
/// few containers at a time itself.
const CONCURRENCY: usize = 4;

/// Tells how far a run is.
pub trait Progress {
    /// Something that a killed run left was removed, or something takes its time.
    fn note(&self, text: &str);
    /// A lesson is done; called in the order of the lessons.
    fn lesson(&self, report: &LessonReport);
}

/// Works through `lessons` on the engine. `stop` ends the run early: no lesson
/// makes anything more, and what there is gets removed.
///
/// # Errors
/// The engine can't serve as a whole, or something couldn't be removed. What goes
/// wrong within a lesson is in its report.
pub async fn run(
    engine: &Engine,
    lessons: &[Lesson],
    allow_swarm: bool,
    stop: CancellationToken,
    progress: &impl Progress,
) -> Result<Report> {
    let started = Instant::now();
    let left = clear_up(engine, progress).await?;
    let facts = Facts::ask(engine).await?;
    let run = Run::start(engine, left, stop.clone()).await?;
    let id = run.id().to_owned();
    let reports: Vec<LessonReport> = stream::iter(lessons)
        .map(|lesson| teach(&run, lesson, &facts, allow_swarm, progress))
        .buffered(CONCURRENCY)
        .inspect(|report| {
            if !stop.is_cancelled() {
                progress.lesson(report);
            }
        })
        .collect()
        .await;
    run.finish().await?;
    Ok(Report {
        run: id,
        engine: facts,
        lessons: reports,
        seconds: started.elapsed().as_secs_f64(),
    })
}

async fn teach(
    run: &Run,
    lesson: &Lesson,
    facts: &Facts,
    allow_swarm: bool,
    progress: &impl Progress,
) -> LessonReport {
    let started = Instant::now();
    let mut steps: Vec<Step> = Vec::new();
    let mut skipped = facts.reason_to_skip(lesson.needs, allow_swarm);
    if skipped.is_none() && lesson.needs.contains(&Need::Machines) {
        let image = machines::image(run.engine(), |text| progress.note(text));
        skipped = image.await.err();
    }
    let place = lessons::ALL.iter().position(|it| it.name == lesson.name);
    let number = place.unwrap_or_default() + 1;
    let error = match skipped {
        Some(_) => None,
        None => (lesson.teach)(&Bench::new(run, lesson.name, number), &mut steps)
            .await
            .err(),
    };
    LessonReport::new(lesson, steps, skipped, error, started.elapsed())
}

/// Removes what runs that were killed have left, but for the images they brought
/// along; those are returned.
async fn clear_up(engine: &Engine, progress: &impl Progress) -> Result<Vec<String>> {
    let mut images = Vec::new();
    for leftover in sweep::leftovers(engine).await? {
        sweep::remove(engine, &leftover.run).await?;
        progress.note(&sentence(&leftover));
        images.extend(leftover.image);
    }
    Ok(images)
}

fn sentence(leftover: &Leftover) -> String {
    let mut parts = Vec::new();
    let mut count = |number: usize, what: &str| match number {
        0 => {}
        1 => parts.push(format!("1 {what}")),
        number => parts.push(format!("{number} {what}s")),
    };
    count(leftover.containers, "container");
    count(leftover.networks, "network");
    format!(
        "removed what an interrupted run ({}) left: {}",
        leftover.run,
        parts.join(", ")
    )
}
