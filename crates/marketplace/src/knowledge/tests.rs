//! The rules, on mocked ports.

use super::*;
use crate::{
    Category,
    ports::{
        EmbedError, ExtractError, Hit, MockDocuments, MockEmbedder, MockKnowledgeIndex, MockKnowledgeIndexer,
    },
    sealing::Plaintext,
};
use haithe_kernel::{Failure, FetchError, Fetched, FixedClock, Kind, MockFetcher, Timestamp};

fn content(name: &str, category: Category, bytes: &[u8]) -> Content {
    let mut digest = [0; 32];
    for (slot, byte) in digest.iter_mut().zip(name.bytes()) {
        *slot = byte;
    }
    Content {
        name: name.to_owned(),
        category,
        digest,
        bytes: Arc::new(Plaintext::new(bytes.to_vec())),
    }
}

fn chunks(texts: &[&str]) -> Vec<Chunk> {
    let numbered = (1..).zip(texts);
    numbered
        .map(|(page, text)| Chunk {
            text: (*text).to_owned(),
            place: Place::Page(page),
        })
        .collect()
}

/// A reader whose pieces are the lines of the content.
fn line_reader() -> MockDocuments {
    let mut documents = MockDocuments::new();
    documents.expect_extract().returning(|_, bytes, _| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(chunks(&text.lines().collect::<Vec<_>>()))
    });
    documents
}

/// An index that ranks by how many words of the question a piece has.
fn word_indexer() -> MockKnowledgeIndexer {
    let mut indexer = MockKnowledgeIndexer::new();
    indexer.expect_index().returning(|chunks| {
        let mut index = MockKnowledgeIndex::new();
        index.expect_bytes().return_const(1_000_usize);
        index.expect_search().returning(move |terms, _| {
            let count = |chunk: &Chunk| {
                let folded = fold(&chunk.text);
                terms
                    .words()
                    .iter()
                    .filter(|word| folded.split(' ').any(|w| w == *word))
                    .count()
            };
            let mut hits: Vec<Hit> = chunks
                .iter()
                .enumerate()
                .filter(|(_, chunk)| count(chunk) > 0)
                .map(|(at, chunk)| Hit {
                    chunk: at,
                    score: count(chunk) as f64,
                })
                .collect();
            hits.sort_by(|a, b| b.score.total_cmp(&a.score));
            Ok(hits)
        });
        Ok(Arc::new(index))
    });
    indexer
}

fn tools(documents: MockDocuments) -> Tools {
    Tools {
        documents: Arc::new(documents),
        indexer: Arc::new(word_indexer()),
        fetcher: Arc::new(MockFetcher::new()),
        embedder: None,
        clock: Arc::new(FixedClock::at(Timestamp::from_seconds(1_000))),
    }
}

fn answer(body: &str) -> Fetched {
    Fetched {
        status: 200,
        headers: vec![("content-type".into(), "text/plain".into())],
        body: body.as_bytes().to_vec(),
        url: String::new(),
    }
}

fn texts(passages: &[Passage]) -> Vec<&str> {
    passages.iter().map(|passage| passage.text.as_str()).collect()
}

#[tokio::test]
async fn passages_come_with_their_product_and_place() {
    let knowledge = Knowledge::new(tools(line_reader()), ReadLimits::default());
    let manual = content(
        "Manual",
        Category::KnowledgeText,
        b"The lamp is red.\nThe pump hums.",
    );
    let found = knowledge
        .passages(&[manual], "Why does the pump hum?", 1_000)
        .await
        .unwrap();
    let best = found.first().unwrap();
    assert_eq!(
        (best.text.as_str(), best.product.as_str()),
        ("The pump hums.", "Manual")
    );
    assert_eq!(best.place, Place::Page(2));
}

#[tokio::test]
async fn equally_good_products_take_turns() {
    let knowledge = Knowledge::new(tools(line_reader()), ReadLimits::default());
    let contents = [
        content("A", Category::KnowledgeText, b"pump one\npump two"),
        content("B", Category::KnowledgeText, b"pump three\npump four"),
    ];
    let found = knowledge.passages(&contents, "pump", 1_000).await.unwrap();
    assert_eq!(texts(&found), ["pump one", "pump three", "pump two", "pump four"]);
}

#[tokio::test]
async fn the_budget_is_never_exceeded() {
    let knowledge = Knowledge::new(tools(line_reader()), ReadLimits::default());
    let manual = content("A", Category::KnowledgeText, b"pump 1\npump 2\npump 3");
    for (budget, expected) in [(0, 0), (5, 0), (6, 1), (17, 2), (18, 3)] {
        let found = knowledge
            .passages(std::slice::from_ref(&manual), "pump", budget)
            .await
            .unwrap();
        assert_eq!(found.len(), expected, "{budget}");
    }
}

#[tokio::test]
async fn a_content_is_read_once() {
    let mut documents = MockDocuments::new();
    documents
        .expect_extract()
        .times(1)
        .returning(|_, _, _| Ok(chunks(&["pump"])));
    let knowledge = Knowledge::new(tools(documents), ReadLimits::default());
    let manual = content("A", Category::KnowledgePdf, b"%PDF");
    knowledge.load(&manual).await.unwrap();
    knowledge.load(&manual).await.unwrap();
    assert_eq!(knowledge.passages(&[manual], "pump", 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_question_without_words_costs_nothing() {
    let mut documents = MockDocuments::new();
    documents.expect_extract().never();
    let knowledge = Knowledge::new(tools(documents), ReadLimits::default());
    let manual = content("A", Category::KnowledgeText, b"pump");
    assert!(
        knowledge
            .passages(&[manual], "?! \u{202e}", 100)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_unreadable_document_is_named_and_read_once_for_a_while() {
    let mut documents = MockDocuments::new();
    documents
        .expect_extract()
        .times(1)
        .returning(|_, _, _| Err(ExtractError::Malformed(Format::Pdf)));
    let knowledge = Knowledge::new(tools(documents), ReadLimits::default());
    let manual = content("Manual", Category::KnowledgePdf, b"x");
    // The same bytes under another name: each product is named to those who use it, no other.
    let copy = Content {
        name: "Copy".to_owned(),
        ..manual.clone()
    };
    for product in [&manual, &manual, &copy] {
        let error = knowledge.load(product).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the product “{}” cannot be read: the document cannot be read as pdf",
                product.name
            )
        );
        assert_eq!(
            (error.kind(), error.code()),
            (Kind::Unprocessable, "document_malformed")
        );
    }
}

#[tokio::test]
async fn a_reader_that_is_busy_is_tried_again_at_once() {
    let mut documents = MockDocuments::new();
    documents
        .expect_extract()
        .times(2)
        .returning(|_, _, _| Err(ExtractError::Unavailable(Arc::new(std::io::Error::other("busy")))));
    let knowledge = Knowledge::new(tools(documents), ReadLimits::default());
    let manual = content("Manual", Category::KnowledgePdf, b"x");
    for _ in 0..2 {
        assert_eq!(
            knowledge.load(&manual).await.unwrap_err().code(),
            "documents_unavailable"
        );
    }
}

#[tokio::test]
async fn a_page_that_failed_is_not_fetched_again_for_a_while_by_any_product() {
    let mut fetcher = MockFetcher::new();
    fetcher
        .expect_fetch()
        .times(2)
        .returning(|request| match request.url.as_str() {
            "https://a.example/" => Err(FetchError::Late),
            _ => Ok(answer("")),
        });
    let mut documents = MockDocuments::new();
    documents
        .expect_extract()
        .times(1)
        .returning(|_, _, _| Err(ExtractError::Empty));
    let tools = Tools {
        fetcher: Arc::new(fetcher),
        ..tools(documents)
    };
    let knowledge = Knowledge::new(tools, ReadLimits::default());
    let list = br#"["https://a.example", "https://b.example"]"#;
    for name in ["A", "B", "C"] {
        let site = content(name, Category::KnowledgeUrl, list);
        let error = knowledge.load(&site).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the product “{name}” cannot be fetched: the address did not answer in time")
        );
    }
}

#[tokio::test]
async fn a_prompt_is_no_knowledge() {
    let knowledge = Knowledge::new(tools(line_reader()), ReadLimits::default());
    let prompt = content("P", Category::PromptSet, b"x");
    assert!(matches!(
        knowledge.load(&prompt).await,
        Err(KnowledgeError::NotKnowledge(_))
    ));
}

#[tokio::test]
async fn addresses_are_fetched_and_cited() {
    let mut fetcher = MockFetcher::new();
    fetcher
        .expect_fetch()
        .times(3)
        .returning(|request| match request.url.as_str() {
            "https://a.example/" => Ok(answer("pump a")),
            "https://b.example/" => Err(FetchError::Late),
            _ => Ok(answer("lamp c\npump c")),
        });
    let tools = Tools {
        fetcher: Arc::new(fetcher),
        ..tools(line_reader())
    };
    let knowledge = Knowledge::new(tools, ReadLimits::default());
    let list = br#"["https://a.example", "https://b.example", "https://c.example"]"#;
    let site = content("Site", Category::KnowledgeUrl, list);
    let found = knowledge
        .passages(std::slice::from_ref(&site), "pump", 1_000)
        .await
        .unwrap();
    let cited: Vec<_> = found.iter().map(quote::citation).collect();
    assert_eq!(
        cited,
        [
            "Site, https://a.example/, page 1",
            "Site, https://c.example/, page 2"
        ]
    );
    // Kept for a while.
    knowledge.load(&site).await.unwrap();
}

#[tokio::test]
async fn when_no_address_answers_the_product_fails() {
    let mut fetcher = MockFetcher::new();
    fetcher.expect_fetch().returning(|_| {
        Ok(Fetched {
            status: 404,
            ..answer("not here")
        })
    });
    let tools = Tools {
        fetcher: Arc::new(fetcher),
        ..tools(line_reader())
    };
    let knowledge = Knowledge::new(tools, ReadLimits::default());
    let error = knowledge
        .load(&content("S", Category::KnowledgeUrl, b"https://a.example"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "product_not_fetched");
}

fn embedder() -> MockEmbedder {
    let mut embedder = MockEmbedder::new();
    embedder.expect_embed().returning(|texts| {
        let water = |text: &String| text.contains("pump") || text.contains("water");
        Ok(texts
            .iter()
            .map(|text| {
                if water(text) {
                    vec![1.0, 0.0]
                } else {
                    vec![0.0, 1.0]
                }
            })
            .collect())
    });
    embedder
}

#[tokio::test]
async fn vectors_find_what_is_said_in_other_words() {
    let tools = Tools {
        embedder: Some(Arc::new(embedder())),
        ..tools(line_reader())
    };
    let knowledge = Knowledge::new(tools, ReadLimits::default());
    let manual = content("A", Category::KnowledgeText, b"lamp\nthe pump");
    let found = knowledge.passages(&[manual], "water", 8).await.unwrap();
    assert_eq!(texts(&found), ["the pump"]);
}

#[tokio::test]
async fn a_question_is_embedded_once_however_many_products_it_is_asked_of() {
    let mut counted = MockEmbedder::new();
    let documents = |texts: &Vec<String>| texts.iter().any(|text| text.contains("pump"));
    counted
        .expect_embed()
        .withf(move |texts| documents(texts))
        .times(2)
        .returning(|texts| Ok(vec![vec![1.0]; texts.len()]));
    counted
        .expect_embed()
        .withf(|texts| *texts == ["water"])
        .times(1)
        .returning(|_| Err(EmbedError::Refused("status 400".into())));
    let tools = Tools {
        embedder: Some(Arc::new(counted)),
        ..tools(line_reader())
    };
    let knowledge = Knowledge::new(tools, ReadLimits::default());
    let contents = [
        content("A", Category::KnowledgeText, b"a pump"),
        content("B", Category::KnowledgeText, b"pump and water"),
    ];
    let found = knowledge.passages(&contents, "water", 100).await.unwrap();
    assert_eq!(texts(&found), ["pump and water"]);
}

#[tokio::test]
async fn an_embedder_that_fails_leaves_the_words() {
    let mut failing = MockEmbedder::new();
    failing
        .expect_embed()
        .returning(|_| Err(EmbedError::Unavailable("down".into())));
    let tools = Tools {
        embedder: Some(Arc::new(failing)),
        ..tools(line_reader())
    };
    let knowledge = Knowledge::new(tools, ReadLimits::default());
    let manual = content("A", Category::KnowledgeText, b"lamp\nthe pump");
    let found = knowledge.passages(&[manual], "pump", 100).await.unwrap();
    assert_eq!(texts(&found), ["the pump"]);
}
