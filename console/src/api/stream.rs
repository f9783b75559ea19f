//! `/api/requests/stream`: what is recorded now, as server-sent events.
//!
//! | event | data |
//! |---|---|
//! | (without a name) | a request, as in a list; its `id:` is where one goes on who comes back |
//! | `missed` | `{}`: some couldn't be told any more |
//! | `away` | `{"error": "…"}`: MongoDB can't be read now, and why |
//! | `back` | `{}`: it can be read again |

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{Problem, reads};
use crate::app::Console;
use crate::export;
use crate::live::Event;
use crate::live::sse::{self, Text};

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(reads("/api/requests/stream", stream));
}

async fn stream(
    request: HttpRequest,
    console: web::Data<Console>,
) -> Result<HttpResponse, Problem> {
    sse::serve(&request, &console.live, None, tell).await
}

fn tell(event: Event, text: &mut Text) {
    match event {
        Event::Recorded(items) => {
            for item in items {
                text.event(None, Some(&item.after()), item.json());
            }
        }
        Event::Skipped(_) => {}
        Event::Missed => text.event(Some("missed"), None, "{}"),
        Event::Away(reason) => {
            let error = export::json::line(&json!({ "error": *reason }));
            text.event(Some("away"), None, &error);
        }
        Event::Back => text.event(Some("back"), None, "{}"),
    }
}
