//! The models that tests call.

/// Numbers of the catalogue's models.
pub mod models {
    #![expect(missing_docs, reason = "the catalogue below describes them")]
    pub const PER_CALL: (i64, &str) = (1, "per-call");
    pub const PER_TOKEN: (i64, &str) = (2, "per-token");
    pub const BOTH: (i64, &str) = (3, "both");
    pub const FREE: (i64, &str) = (4, "free");
    pub const SANDBOX: (i64, &str) = (5, "sandbox");
    pub const INACTIVE: (i64, &str) = (7, "inactive");
    pub const KEYLESS: (i64, &str) = (8, "keyless");
    pub const DEAD: (i64, &str) = (9, "dead");
    pub const STURDY: (i64, &str) = (10, "sturdy");
    pub const SPARE: (i64, &str) = (11, "spare");
    pub const VECTORS: (i64, &str) = (12, "vectors");
    pub const SIGHTED: (i64, &str) = (21, "open/sighted");
    pub const PATIENT: (i64, &str) = (22, "patient");
    pub const ENDURING: (i64, &str) = (23, "enduring");
    /// Those a test organization enables.
    pub const USUAL: [(i64, &str); 5] = [PER_CALL, PER_TOKEN, BOTH, FREE, SANDBOX];
}

/// Prices are chosen so that a reader can compute with them: a token of input costs 1,000 nano, a
/// cached one 500, one of output 3,000, a call 0.1 USDT. Only the models of `weak` and `spare` are
/// asked again or left alone, so that other tests see every failure.
pub(super) fn catalogue_over(base_url: &str, spare_url: &str) -> String {
    format!(
        r#"
[providers.test]
base_url = "{base_url}"
api_key_env = "TEST_PROVIDER_KEY"
connect_timeout_ms = 1000
first_byte_timeout_ms = 1500
idle_timeout_ms = 1500
answer_timeout_ms = 3000
retries = 0
circuit_faults = 0

[providers.patient]
base_url = "{base_url}"
connect_timeout_ms = 60000
first_byte_timeout_ms = 60000
idle_timeout_ms = 60000
answer_timeout_ms = 60000
retries = 0
circuit_faults = 0

[providers.frail]
base_url = "{base_url}"
connect_timeout_ms = 60000
first_byte_timeout_ms = 60000
idle_timeout_ms = 60000
answer_timeout_ms = 60000
retries = 0
circuit_faults = 0

[providers.weak]
base_url = "{base_url}"
connect_timeout_ms = 1000
first_byte_timeout_ms = 700
idle_timeout_ms = 1500
answer_timeout_ms = 700
retry_delay_ms = 10
circuit_faults = 6
circuit_pause_ms = 5000

[providers.spare]
base_url = "{spare_url}"
first_byte_timeout_ms = 1500

[providers.dead]
base_url = "http://127.0.0.1:9/v1"
connect_timeout_ms = 300
retries = 0
circuit_faults = 0

[providers.keyless]
base_url = "{base_url}"
api_key_env = "TEST_ABSENT_KEY"

[providers.sandbox]
kind = "sandbox"

[[models]]
id = 1
name = "per-call"
display_name = "A fixed price per call"
provider = "test"
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]

[[models]]
id = 2
name = "per-token"
display_name = "Prices per token"
provider = "test"
upstream_name = "the-provider-s-name"
price = {{ input = "1", cached = "0.5", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]

[[models]]
id = 3
name = "both"
display_name = "A price per call and per token"
provider = "test"
price = {{ per_call = "0.1", input = "1", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 4
name = "free"
display_name = "Free of charge"
provider = "test"
price = {{}}
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 5
name = "sandbox"
display_name = "The sandbox"
provider = "sandbox"
price = {{ per_call = "0.001", input = "1", output = "2" }}
context = 100000
max_output = 1000
capabilities = ["streaming"]

[[models]]
id = 7
name = "inactive"
display_name = "Not offered"
provider = "test"
active = false
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000

[[models]]
id = 8
name = "keyless"
display_name = "A provider without its key"
provider = "keyless"
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000

[[models]]
id = 9
name = "dead"
display_name = "A dead provider"
provider = "dead"
price = {{ per_call = "0.1" }}
context = 100000
max_output = 1000

[[models]]
id = 10
name = "sturdy"
aliases = ["stout"]
display_name = "Answered by the spare one when its provider cannot"
provider = "weak"
price = {{ input = "1", cached = "0.5", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]
fallbacks = ["spare"]

[[models]]
id = 11
name = "spare"
display_name = "The spare one"
provider = "spare"
price = {{ input = "1", cached = "0.5", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]

[[models]]
id = 12
name = "vectors"
display_name = "Makes embeddings"
provider = "test"
upstream_name = "the-provider-s-vectors"
price = {{ input = "1" }}
context = 8192
max_output = 1
capabilities = ["embeddings"]

[[models]]
id = 21
name = "open/sighted"
display_name = "Looks at pictures"
provider = "test"
price = {{ input = "1", output = "3" }}
context = 100000
max_output = 1000
image_tokens = 800
capabilities = ["streaming", "vision"]

[[models]]
id = 22
name = "patient"
display_name = "However long its provider pauses"
provider = "patient"
price = {{ input = "1", cached = "0.5", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]

[[models]]
id = 23
name = "enduring"
display_name = "Answered by the patient one when its provider cannot"
provider = "frail"
price = {{ input = "1", cached = "0.5", output = "3" }}
context = 100000
max_output = 1000
capabilities = ["streaming", "tools"]
fallbacks = ["patient"]
"#
    )
}
