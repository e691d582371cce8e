//! Web pages: the main content, cut at its headings.

mod walk;

use crate::{
    section::{Section, Sections, Start},
    text::decode,
    wire::Refusal,
};
use dom_query::Document;
use dom_smoothie::Readability;
use encoding_rs::Encoding;
use haithe_marketplace::knowledge::ReadLimits;
use walk::{Part, parts};

/// Bytes in which a page declares its encoding, by the HTML standard.
const DECLARED_WITHIN: usize = 1024;
/// The share of a page's text, in percent, that its main content must have to be believed: less, and
/// the page is no article, so that everything but navigation is taken.
const MAIN_PERCENT: usize = 40;

pub(crate) fn read(bytes: &[u8], limits: &ReadLimits) -> Result<Vec<Section>, Refusal> {
    let html = decode(bytes, declared(bytes))?;
    let page = Document::from(html);
    let title = page.select_single("title").text().trim().to_owned();
    let all = parts(&page);
    let main = main_content(page).filter(|main| length(main) * 100 >= length(&all) * MAIN_PERCENT);
    let mut sections = Sections::new(limits);
    for part in main.unwrap_or(all) {
        let start = match part.heading {
            Some(heading) => Start::heading(&heading),
            None if title.is_empty() => Start::Line(1),
            None => Start::heading(&title),
        };
        sections.push(part.text, start)?;
    }
    sections.finish()
}

fn main_content(page: Document) -> Option<Vec<Part>> {
    let article = Readability::with_document(page, None, None).ok()?.parse().ok()?;
    Some(parts(&Document::from(article.content)))
}

fn length(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.text.len()).sum()
}

/// The encoding that a page declares in a `meta` element.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..DECLARED_WITHIN).unwrap_or(bytes).to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let (_, after) = head.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'', ' ']);
    let end = label.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c)));
    Encoding::for_label(label.get(..end.unwrap_or(label.len()))?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(html: &str) -> Vec<(String, String)> {
        let read = read(html.as_bytes(), &ReadLimits::default()).unwrap();
        read.into_iter()
            .map(|section| match section.start {
                Start::Heading(heading) => (heading, section.text),
                _ => (String::new(), section.text),
            })
            .collect()
    }

    #[test]
    fn an_article_is_told_from_its_surroundings() {
        let story = "The lamp burns all night because the keeper, who lives alone, forgets to put it out. ";
        let html = format!(
            "<title>The lamp</title><nav><a href=/>Home</a><a href=/shop>Shop</a></nav>\
             <div class=sidebar><a href=1>Ten other stories</a></div>\
             <article><h2>Night</h2><p>{0}</p><p>{0}</p><h2>Day</h2><p>{0}</p><p>{0}</p></article>\
             <footer>All rights reserved</footer>",
            story.repeat(3)
        );
        let found = sections(&html);
        let headings: Vec<_> = found.iter().map(|(heading, _)| heading.as_str()).collect();
        assert_eq!(headings, ["Night", "Day"]);
        assert!(found.iter().all(|(_, text)| text.contains("burns all night")));
        assert!(
            !found
                .iter()
                .any(|(_, text)| text.contains("Shop") || text.contains("rights reserved"))
        );
    }

    #[test]
    fn a_page_that_is_no_article_keeps_everything_but_navigation() {
        let html = "<title>Hours</title><nav>Menu</nav><table><tr><th>Day</th><th>Open</th></tr>\
            <tr><td>Monday</td><td>9–17</td></tr></table><ul><li>No dogs<li>No ice</ul>";
        let found = sections(html);
        assert_eq!(found.len(), 1);
        let (heading, text) = found.first().unwrap();
        assert_eq!(heading, "Hours");
        assert_eq!(text.trim(), "Day | Open\nMonday | 9–17\n\n- No dogs\n- No ice");
    }

    #[test]
    fn what_people_do_not_see_is_not_read() {
        let found = sections(
            "<p>Seen.<p hidden>h1 <p style='display: none'>h2 <p style=\"color:red;VISIBILITY:hidden\">h3 \
             <script>h4</script><style>h5</style><template>h6</template><!-- h7 --><textarea>h8</textarea>",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found.first().map(|(_, text)| text.trim()), Some("Seen."));
    }

    #[test]
    fn the_declared_encoding_is_used() {
        let (bytes, _, _) = encoding_rs::GBK.encode("<meta charset=\"gbk\"><p>营业时间</p>");
        let read = read(&bytes, &ReadLimits::default()).unwrap();
        assert_eq!(read.first().map(|section| section.text.trim()), Some("营业时间"));
        assert_eq!(
            declared(b"<meta http-equiv=x content='text/html; charset=koi8-r'>"),
            Some(encoding_rs::KOI8_R)
        );
        assert_eq!(declared(b"<meta charset=nonsense>"), None);
    }

    #[test]
    fn an_empty_page_says_so() {
        for html in ["", "<html></html>", "<script>x</script>", "<nav>Menu</nav>"] {
            assert_eq!(
                read(html.as_bytes(), &ReadLimits::default()),
                Err(Refusal::Empty),
                "{html}"
            );
        }
    }
}
