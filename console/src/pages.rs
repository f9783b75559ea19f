//! The pages, rendered here as HTML.

mod assets;
mod live;
mod requests;
mod stack;

use actix_web::web;

pub fn configure(app: &mut web::ServiceConfig) {
    assets::configure(app);
    live::configure(app);
    requests::configure(app);
    stack::configure(app);
}
