//! Serves the files of the web page, which are compiled into the program.

use axum::Router;
use axum::http::header;
use axum::routing::get;

macro_rules! files {
    ($($path:literal: $file:literal as $kind:literal,)*) => {
        fn files() -> Router {
            Router::new()$(.route($path, get(|| async {
                ([(header::CONTENT_TYPE, $kind)], include_str!(concat!("page/", $file)))
            })))*
        }
    };
}

files! {
    "/about.js": "about.js" as "text/javascript; charset=utf-8",
    "/api.js": "api.js" as "text/javascript; charset=utf-8",
    "/app.css": "app.css" as "text/css; charset=utf-8",
    "/app.js": "app.js" as "text/javascript; charset=utf-8",
    "/card.js": "card.js" as "text/javascript; charset=utf-8",
    "/change.js": "change.js" as "text/javascript; charset=utf-8",
    "/chooser.js": "chooser.js" as "text/javascript; charset=utf-8",
    "/crop.js": "crop.js" as "text/javascript; charset=utf-8",
    "/dialog.js": "dialog.js" as "text/javascript; charset=utf-8",
    "/element.js": "element.js" as "text/javascript; charset=utf-8",
    "/entry.js": "entry.js" as "text/javascript; charset=utf-8",
    "/events.js": "events.js" as "text/javascript; charset=utf-8",
    "/evidence.js": "evidence.js" as "text/javascript; charset=utf-8",
    "/face.js": "face.js" as "text/javascript; charset=utf-8",
    "/faces.js": "faces.js" as "text/javascript; charset=utf-8",
    "/frame.js": "frame.js" as "text/javascript; charset=utf-8",
    "/head.js": "head.js" as "text/javascript; charset=utf-8",
    "/hidden.js": "hidden.js" as "text/javascript; charset=utf-8",
    "/history.js": "history.js" as "text/javascript; charset=utf-8",
    "/icon.svg": "icon.svg" as "image/svg+xml",
    "/jobs.js": "jobs.js" as "text/javascript; charset=utf-8",
    "/likeness.js": "likeness.js" as "text/javascript; charset=utf-8",
    "/lists.js": "lists.js" as "text/javascript; charset=utf-8",
    "/names.js": "names.js" as "text/javascript; charset=utf-8",
    "/newcomer.js": "newcomer.js" as "text/javascript; charset=utf-8",
    "/people.js": "people.js" as "text/javascript; charset=utf-8",
    "/person.js": "person.js" as "text/javascript; charset=utf-8",
    "/photo.js": "photo.js" as "text/javascript; charset=utf-8",
    "/questions.js": "questions.js" as "text/javascript; charset=utf-8",
    "/receipt.js": "receipt.js" as "text/javascript; charset=utf-8",
    "/recognition.js": "recognition.js" as "text/javascript; charset=utf-8",
    "/recognize.js": "recognize.js" as "text/javascript; charset=utf-8",
    "/rename.js": "rename.js" as "text/javascript; charset=utf-8",
    "/review.js": "review.js" as "text/javascript; charset=utf-8",
    "/sentences.js": "sentences.js" as "text/javascript; charset=utf-8",
    "/toast.js": "toast.js" as "text/javascript; charset=utf-8",
    "/undo.js": "undo.js" as "text/javascript; charset=utf-8",
    "/ungrouped.js": "ungrouped.js" as "text/javascript; charset=utf-8",
    "/verdict.js": "verdict.js" as "text/javascript; charset=utf-8",
    "/why.js": "why.js" as "text/javascript; charset=utf-8",
    "/windowed.js": "windowed.js" as "text/javascript; charset=utf-8",
    "/words.js": "words.js" as "text/javascript; charset=utf-8",
}

/// Returns a route for every file of the page. Without indexing (`indexes`) the page does not offer it.
pub(super) fn routes(indexes: bool) -> Router {
    const INDEX: &str = include_str!("page/index.html");
    let index = if indexes { INDEX.to_owned() } else { INDEX.replace("<body>", "<body class=\"fleet\">") };
    files().route("/", get(|| async { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], index) }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_of_the_page_is_served() {
        let source = include_str!("page.rs");
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if name == "index.html" {
                continue;
            }
            assert!(source.contains(&format!(": \"{name}\" as ")), "{name} has no route");
        }
    }
}
