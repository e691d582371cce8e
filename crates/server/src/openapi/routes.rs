//! Routes and what they say of themselves, watched for names that mean two things.

use super::DocumentError;
use crate::http::known_names::{KnownNames, refuse_unknown};
use axum::{Router, handler::Handler, middleware, routing::MethodRouter};
use http::Method;
use std::collections::BTreeMap;
use utoipa::openapi::{HttpMethod, OpenApi, RefOr, Schema, path::Operation};
use utoipa_axum::{
    PathItemExt,
    router::{OpenApiRouter, UtoipaMethodRouter},
};

/// Named schemas, in the order in which handlers bring them.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// What serves one path, and what says of it in the document. The latter is only composed when somebody
/// asks for the document: for all routes it is much code and many small pieces of memory.
pub struct Endpoint<S> {
    path: String,
    router: MethodRouter<S>,
    described: fn() -> UtoipaMethodRouter<S>,
    /// Each method's own documentation, which says which names its requests may have.
    operations: Vec<(Method, fn() -> Operation)>,
}

impl<S: Send + Sync + Clone + 'static> Endpoint<S> {
    /// Nothing yet, and how all that will be there describes itself.
    pub fn new(described: fn() -> UtoipaMethodRouter<S>) -> Self {
        Self {
            path: String::new(),
            router: MethodRouter::new(),
            described,
            operations: Vec::new(),
        }
    }

    /// Adds a handler, for the methods and at the path that `P` says.
    ///
    /// # Panics
    /// In a build with debug assertions, if an earlier handler said another path.
    #[must_use]
    pub fn on<P: utoipa::Path, H: Handler<T, S>, T: 'static>(self, handler: H) -> Self {
        let path = P::path();
        debug_assert!(
            self.path.is_empty() || self.path == path,
            "{path} is not {}",
            self.path
        );
        let mut operations = self.operations;
        let router = P::methods().into_iter().fold(self.router, |router, method| {
            operations.push((name_of(&method), P::operation as fn() -> Operation));
            router.on(method.to_method_filter(), handler.clone())
        });
        Self {
            path,
            router,
            operations,
            ..self
        }
    }

    /// Changes what serves the path; the document does not know.
    #[must_use]
    pub fn map(self, change: impl FnOnce(MethodRouter<S>) -> MethodRouter<S>) -> Self {
        Self {
            router: change(self.router),
            ..self
        }
    }
}

/// The [`Endpoint`] of handlers of one path, each of which is a `#[utoipa::path]`.
macro_rules! routes {
    (@on $endpoint:ident [$($module:tt)*] $next:ident :: $($rest:tt)+) => {
        routes!(@on $endpoint [$($module)* $next ::] $($rest)+)
    };
    (@on $endpoint:ident [$($module:tt)*] $handler:ident) => {
        utoipa_axum::paste! {
            $endpoint.on::<$($module)* [<__path_ $handler>], _, _>($($module)* $handler)
        }
    };
    ($($($segment:ident)::+),+ $(,)?) => {{
        let endpoint = $crate::openapi::Endpoint::new(|| utoipa_axum::routes!($($($segment)::+),+));
        $(let endpoint = routes!(@on endpoint [] $($segment)::+);)+
        endpoint
    }};
}
pub(crate) use routes;

/// Collects routes, and the schemas that their documents name: of two schemas with one name utoipa
/// keeps the later one and says nothing.
pub struct Routes<S>(Vec<Endpoint<S>>);

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S: Send + Sync + Clone + 'static> Routes<S> {
    /// Adds an endpoint, from `routes!`.
    #[must_use]
    pub fn routes(mut self, endpoint: Endpoint<S>) -> Self {
        self.0.push(endpoint);
        self
    }

    /// Adds other routes.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The routes alone, which refuse names that their documentation does not have.
    pub fn into_router(self) -> Router<S> {
        let operations = self.0.iter().flat_map(|endpoint| {
            let operations = endpoint.operations.iter();
            operations.map(|(method, describe)| (endpoint.path.clone(), method.clone(), *describe))
        });
        let known = KnownNames::of(operations.collect::<Vec<_>>());
        let routes = self.0.into_iter().fold(Router::new(), |router, endpoint| {
            router.route(&endpoint.path, endpoint.router)
        });
        routes.layer(middleware::from_fn_with_state(known, refuse_unknown))
    }

    /// What they say of themselves, on top of what `begun` says.
    ///
    /// # Errors
    /// [`DocumentError::Name`] when a name means two things.
    pub fn document(&self, begun: OpenApi) -> Result<OpenApi, DocumentError> {
        let shared = begun.components.iter().flat_map(|shared| shared.schemas.clone());
        let mut schemas: Schemas = shared.collect();
        let mut all = OpenApiRouter::<S>::with_openapi(begun);
        for endpoint in &self.0 {
            let described = (endpoint.described)();
            schemas.extend(described.0.iter().cloned());
            all = all.routes(described);
        }
        unequivocal(schemas)?;
        Ok(all.into_openapi())
    }
}

const fn name_of(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Trace => Method::TRACE,
    }
}

fn unequivocal(schemas: impl IntoIterator<Item = (String, RefOr<Schema>)>) -> Result<(), DocumentError> {
    let mut known = BTreeMap::new();
    for (name, schema) in schemas {
        match known.get(&name) {
            Some(other) if *other != schema => return Err(DocumentError::Name(name)),
            _ => known.insert(name, schema),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::{PartialSchema, ToSchema};

    #[derive(ToSchema)]
    #[schema(as = Thing)]
    #[expect(dead_code, reason = "for the document")]
    struct Counted {
        count: u32,
    }

    #[derive(ToSchema)]
    #[schema(as = Thing)]
    #[expect(dead_code, reason = "for the document")]
    struct Named {
        name: String,
    }

    #[utoipa::path(get, path = "/counted", responses((status = 200, body = Counted)))]
    async fn counted() {}

    #[utoipa::path(get, path = "/named", responses((status = 200, body = Named)))]
    async fn named() {}

    #[utoipa::path(get, path = "/again", responses((status = 200, body = Counted)))]
    async fn again() {}

    #[test]
    fn a_name_that_means_two_things_is_no_document() {
        let good = Routes::<()>::default()
            .routes(routes!(counted))
            .merge(Routes::default().routes(routes!(again)));
        assert!(good.document(OpenApi::default()).is_ok());
        let bad = Routes::<()>::default()
            .routes(routes!(counted))
            .merge(Routes::default().routes(routes!(named)));
        let refused = bad.document(OpenApi::default());
        assert!(matches!(refused, Err(DocumentError::Name(name)) if name == "Thing"));
    }

    #[test]
    fn what_all_share_is_watched_too() {
        let mut begun = OpenApi::default();
        let shared = begun.components.get_or_insert_default();
        shared.schemas.insert("Thing".into(), Named::schema());
        let routes = Routes::<()>::default().routes(routes!(counted));
        assert!(matches!(routes.document(begun), Err(DocumentError::Name(_))));
    }
}
