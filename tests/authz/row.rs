//! One operation, the action it is, and what to send.

use crate::{
    cast::World,
    table::{Action, Object, Principal, Rule},
};
use futures::future::BoxFuture;
use haithe_tests::{
    app::Tenant,
    client::{Ask, Client},
};
use http::Method;
use serde_json::Value;
use std::sync::Arc;

/// A number that no object has.
pub const NO_NUMBER: &str = "987654321";
/// A uid, and a UUID, that no object has.
pub const NO_UID: &str = "01900000000070008000000000000000";

/// Who asks about what, right now.
#[derive(Clone)]
pub struct Stage {
    pub world: Arc<World>,
    pub who: Principal,
    pub object: Object,
}

impl Stage {
    /// The tenant of the object, unless it is missing.
    pub fn tenant(&self) -> Option<&Tenant> {
        match self.object {
            Object::Nothing | Object::Own => Some(&self.world.own),
            Object::Foreign => Some(&self.world.foreign),
            Object::Missing => None,
        }
    }

    /// Lets the tenant's owner prepare something; gives its `data`. Nothing for what is missing.
    pub async fn as_owner(&self, ask: impl FnOnce(&Client, &Tenant) -> Ask) -> Option<Value> {
        let tenant = self.tenant()?;
        Some(ask(&tenant.owner.client, tenant).data().await)
    }

    /// The number of what was prepared, or one that nothing has.
    pub fn number_of(prepared: Option<&Value>) -> String {
        prepared.map_or_else(|| NO_NUMBER.to_owned(), |data| data["id"].to_string())
    }
}

/// What a request carries beside its method and path.
#[derive(Default)]
pub struct Given {
    /// In place of the path's `{id}`.
    pub id: Option<String>,
    /// In place of the path's second parameter.
    pub inner: Option<String>,
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Value>,
    /// A body that is no JSON.
    pub bytes: Option<Vec<u8>>,
    /// In place of the caller's usual one.
    pub client: Option<Client>,
}

impl Given {
    pub fn id(id: impl ToString) -> Self {
        Self {
            id: Some(id.to_string()),
            ..Self::default()
        }
    }

    pub fn body(body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::default()
        }
    }

    pub fn and_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

type Give = dyn Fn(Stage) -> BoxFuture<'static, Given> + Send + Sync;

/// One operation, or one of its uses where they are different actions.
pub struct Row {
    pub method: Method,
    /// As the document writes it.
    pub path: &'static str,
    /// What of it, where an operation has several rows.
    pub note: &'static str,
    pub rule: Rule,
    /// Whether it wants no other row beside it: it touches what others read.
    pub alone: bool,
    pub give: Box<Give>,
}

impl Row {
    /// A row that sends nothing but its path. `{id}` is the tenant's organization or project, as the
    /// path says.
    pub fn new(operation: &'static str, rule: Rule) -> Self {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let give = Box::new(move |stage: Stage| -> BoxFuture<'static, Given> {
            let tenant = stage.tenant();
            let id = match tenant {
                None => NO_NUMBER.to_owned(),
                Some(tenant) if path.starts_with("/api/v1/projects/") => tenant.project_id.to_string(),
                Some(tenant) => tenant.org_id.to_string(),
            };
            Box::pin(async { Given::id(id) })
        });
        Self {
            method: method.parse().expect("a method"),
            path,
            note: "",
            rule,
            alone: false,
            give,
        }
    }

    /// What of it.
    pub fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// With no other row beside it.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Beside the usual path: this body.
    pub fn body(self, body: impl Fn(&Stage) -> Value + Send + Sync + 'static) -> Self {
        self.adding(move |stage, given| given.body = Some(body(stage)))
    }

    /// Beside the usual path: these query parameters.
    pub fn query(
        self,
        query: impl Fn(&Stage) -> Vec<(&'static str, String)> + Send + Sync + 'static,
    ) -> Self {
        self.adding(move |stage, given| given.query = query(stage))
    }

    fn adding(mut self, add: impl Fn(&Stage, &mut Given) + Send + Sync + 'static) -> Self {
        let (usual, add) = (self.give, Arc::new(add));
        self.give = Box::new(move |stage| {
            let given = usual(stage.clone());
            let add = Arc::clone(&add);
            Box::pin(async move {
                let mut given = given.await;
                add(&stage, &mut given);
                given
            })
        });
        self
    }

    /// In place of everything but method and path: what this prepares.
    pub fn given<F>(mut self, give: impl Fn(Stage) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Given> + Send + 'static,
    {
        self.give = Box::new(move |stage| Box::pin(give(stage)));
        self
    }

    /// The operation as the document's: method and path.
    pub fn operation(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request.
    pub async fn ask(&self, stage: &Stage) -> Ask {
        let given = (self.give)(stage.clone()).await;
        let mut path = self.path.to_owned();
        if let (Some(id), Some((before, rest))) = (given.id, self.path.split_once('{')) {
            let (_, after) = rest.split_once('}').expect("a template");
            path = format!("{before}{id}{after}");
        }
        if let (Some(inner), Some((before, rest))) = (given.inner, path.clone().split_once('{')) {
            let (_, after) = rest.split_once('}').expect("a template");
            path = format!("{before}{inner}{after}");
        }
        let path = match path.strip_prefix("/api") {
            Some(inside) if self.path.starts_with("/api/v1") => inside.to_owned(),
            _ => format!("/{path}"),
        };
        let client = match &given.client {
            Some(client) => client,
            None => &stage.world.caller(stage.who).client,
        };
        let client = match self.rule {
            Rule::Call => on_behalf(client, stage),
            Rule::MineInProject => on_behalf(
                client,
                &Stage {
                    object: Object::Own,
                    ..stage.clone()
                },
            ),
            _ => client.clone(),
        };
        let mut ask = client.ask(self.method.clone(), &path);
        if !given.query.is_empty() {
            let pairs: Vec<_> = given
                .query
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            ask = ask.query(&pairs);
        }
        match (given.body, given.bytes) {
            (Some(body), _) => ask.json(&body),
            (None, Some(bytes)) => ask.body(bytes),
            (None, None) => ask,
        }
    }
}

/// With the context headers of the object's tenant.
fn on_behalf(client: &Client, stage: &Stage) -> Client {
    let (org, project) = match stage.tenant() {
        Some(tenant) => (tenant.org_uid.as_str(), tenant.project_uid.as_str()),
        None => (NO_UID, NO_UID),
    };
    client
        .with("haithe-organization", format!("org-{org}"))
        .with("haithe-project", format!("proj-{project}"))
}

/// A row of an action on an organization or project.
pub fn of(operation: &'static str, action: Action) -> Row {
    Row::new(operation, Rule::Of(action))
}
