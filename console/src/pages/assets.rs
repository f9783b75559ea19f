//! The style sheet, the script and the icon. They are part of the binary; a browser keeps them and asks
//! each time whether they are still the same.

use actix_web::http::header::{CacheControl, CacheDirective, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpResponse, web};
use sha2::{Digest as _, Sha256};

struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

static ASSETS: [Asset; 3] = [
    Asset {
        path: "/assets/console.css",
        media_type: "text/css; charset=utf-8",
        content: include_bytes!("../../assets/console.css"),
    },
    Asset {
        path: "/assets/console.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../assets/console.js"),
    },
    Asset {
        path: "/assets/icon.svg",
        media_type: "image/svg+xml",
        content: include_bytes!("../../assets/icon.svg"),
    },
];

pub(super) fn configure(app: &mut web::ServiceConfig) {
    for asset in &ASSETS {
        let tag = EntityTag::new_strong(hex::encode(Sha256::digest(asset.content)));
        app.route(
            asset.path,
            web::get().to(move |known: web::Header<IfNoneMatch>| {
                let answer = answer(asset, &tag, &known);
                async { answer }
            }),
        );
    }
}

fn answer(asset: &Asset, tag: &EntityTag, known: &IfNoneMatch) -> HttpResponse {
    let is_known = match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(tag)),
    };
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header(ETag(tag.clone()))
        .insert_header(CacheControl(vec![CacheDirective::NoCache]));
    if is_known {
        response.finish()
    } else {
        response.content_type(asset.media_type).body(asset.content)
    }
}
