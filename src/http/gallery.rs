//! Takes the gallery of a request from `?gallery=NAME`; without it, the service's own gallery is meant.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::message;

use super::problem::Problem;
use muster_gallery::{GalleryStore, GalleryStores};

/// Name of the query parameter.
pub(crate) const PARAMETER: &str = "gallery";

/// The gallery that a request names; `None` where it names none.
#[derive(Clone, Debug)]
pub struct RequestedGallery(pub Option<GalleryId>);

/// The gallery that a request is about, opened: the named one, or the service's own.
pub struct GalleryParam(pub Arc<dyn GalleryStore>);

impl<S: Send + Sync> FromRequestParts<S> for RequestedGallery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}

impl FromRequestParts<Arc<dyn GalleryStores>> for GalleryParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, stores: &Arc<dyn GalleryStores>) -> Result<Self, Problem> {
        let RequestedGallery(gallery) = RequestedGallery::from_request_parts(parts, stores).await?;
        Ok(Self(stores.open(gallery).await?))
    }
}

/// Takes the parameter out of the query and stores it with the request, so that routes need not parse it.
pub async fn gallery(mut request: Request, next: Next) -> Response {
    match named(request.uri()) {
        Ok(None) => {}
        Ok(Some((gallery, uri))) => {
            request.extensions_mut().insert(RequestedGallery(Some(gallery)));
            *request.uri_mut() = uri;
        }
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

fn named(uri: &Uri) -> Result<Option<(GalleryId, Uri)>, Problem> {
    let is_name = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        message::decode(name).is_ok_and(|name| name == PARAMETER)
    };
    let query = uri.query().unwrap_or_default();
    let mut all = query.split('&').filter(is_name);
    let Some(part) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Problem::invalid("the query names a gallery twice: name one"));
    }
    let name = part.split_once('=').map_or("", |(_, name)| name);
    let refused = |_| Problem::invalid("gallery is not the name of a gallery");
    let gallery = message::decode(name).and_then(message::gallery).map_err(refused)?;
    let rest: Vec<&str> = query.split('&').filter(|part| !is_name(part)).collect();
    let (path, rest) = (uri.path(), rest.join("&"));
    let text = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
    let mut parts = uri.clone().into_parts();
    let invalid = || Problem::invalid("the query string is invalid");
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| invalid())?);
    Ok(Some((gallery, Uri::from_parts(parts).map_err(|_| invalid())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_gallery_leaves_the_query_and_a_bad_one_is_refused() {
        for (uri, gallery, left) in [
            ("/v1/people", None, "/v1/people"),
            ("/v1/people?limit=3", None, "/v1/people?limit=3"),
            ("/v1/people?gallery=g", Some("g"), "/v1/people"),
            ("/v1/people?limit=3&gallery=my+photos%21&q=a", Some("my photos!"), "/v1/people?limit=3&q=a"),
            ("/v1/people?q=gallery", None, "/v1/people?q=gallery"),
            ("/v1/people?g%61llery=g", Some("g"), "/v1/people"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let found = named(&uri).unwrap();
            let (name, rest) = found.map_or((None, uri.clone()), |(name, rest)| (Some(name.0), rest));
            assert_eq!((name.as_deref(), rest.to_string().as_str()), (gallery, left), "{uri}");
        }
        for uri in [
            "/x?gallery=",
            "/x?gallery",
            "/x?gallery=a%2Fb",
            "/x?gallery=%zz",
            "/x?gallery=..",
            "/x?gallery=a&gallery=b",
        ] {
            assert!(named(&uri.parse().unwrap()).is_err(), "{uri}");
        }
    }
}
