//! Routes and what they say of themselves, watched for names that mean two things.

use super::DocumentError;
use axum::Router;
use std::collections::BTreeMap;
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// Named schemas, in the order in which handlers bring them.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// Collects routes, and the schemas that their documents name: of two schemas with one name utoipa
/// keeps the later one and says nothing.
pub struct Routes<S> {
    router: OpenApiRouter<S>,
    schemas: Schemas,
}

impl<S: Send + Sync + Clone + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self {
            router: OpenApiRouter::default(),
            schemas: Schemas::new(),
        }
    }
}

impl<S: Send + Sync + Clone + 'static> Routes<S> {
    /// Adds the routes of one path, which `routes!` collects.
    #[must_use]
    pub fn routes(mut self, routes: UtoipaMethodRouter<S>) -> Self {
        self.schemas.extend(routes.0.iter().cloned());
        Self {
            router: self.router.routes(routes),
            ..self
        }
    }

    /// Adds other routes.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.schemas.extend(other.schemas);
        Self {
            router: self.router.merge(other.router),
            ..self
        }
    }

    /// The routes alone.
    pub fn into_router(self) -> Router<S> {
        self.router.split_for_parts().0
    }

    /// What they say of themselves, on top of what `begun` says.
    ///
    /// # Errors
    /// [`DocumentError::Name`] when a name means two things.
    pub fn into_document(self, begun: OpenApi) -> Result<OpenApi, DocumentError> {
        let shared = begun.components.iter().flat_map(|shared| shared.schemas.clone());
        unequivocal(shared.chain(self.schemas))?;
        let begun = OpenApiRouter::<S>::with_openapi(begun);
        Ok(begun.merge(self.router).split_for_parts().1)
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
    use utoipa_axum::routes;

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
        assert!(good.into_document(OpenApi::default()).is_ok());
        let bad = Routes::<()>::default()
            .routes(routes!(counted))
            .merge(Routes::default().routes(routes!(named)));
        let refused = bad.into_document(OpenApi::default());
        assert!(matches!(refused, Err(DocumentError::Name(name)) if name == "Thing"));
    }

    #[test]
    fn what_all_share_is_watched_too() {
        let mut begun = OpenApi::default();
        let shared = begun.components.get_or_insert_default();
        shared.schemas.insert("Thing".into(), Named::schema());
        let routes = Routes::<()>::default().routes(routes!(counted));
        assert!(matches!(routes.into_document(begun), Err(DocumentError::Name(_))));
    }
}
