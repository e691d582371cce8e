//! A page's text in the order of reading, without recursion: pages may be nested without bound.

use dom_query::{Document, NodeRef};

/// The text under one heading.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) heading: Option<String>,
    pub(super) text: String,
}

/// The parts of a page. Navigation, programs and what is not shown are left out.
pub(super) fn parts(page: &Document) -> Vec<Part> {
    let mut writer = Writer::default();
    let root = page.root();
    let mut next = root.first_child();
    while let Some(node) = next {
        let entered = writer.enter(&node);
        if entered && let Some(child) = node.first_child() {
            next = Some(child);
            continue;
        }
        if entered {
            writer.leave(&node);
        }
        next = after(node, &mut writer);
    }
    writer.finish()
}

/// The node after `node` and all in it; leaves the elements that end between them.
fn after<'a>(mut node: NodeRef<'a>, writer: &mut Writer) -> Option<NodeRef<'a>> {
    loop {
        if let Some(sibling) = node.next_sibling() {
            return Some(sibling);
        }
        node = node.parent()?;
        writer.leave(&node);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Skipped,
    Heading,
    Paragraph,
    Line,
    Item,
    Cell,
    Row,
    Break,
    Preformatted,
    Inline,
}

fn element(name: &str) -> Element {
    match name {
        "script" | "style" | "template" | "svg" | "math" | "head" | "nav" | "footer" | "aside" | "iframe"
        | "object" | "select" | "button" | "textarea" | "input" | "canvas" | "audio" | "video"
        | "noscript" => Element::Skipped,
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => Element::Heading,
        "p" | "ul" | "ol" | "dl" | "table" | "blockquote" | "section" | "article" | "figure" | "main"
        | "hr" => Element::Paragraph,
        "div" | "dt" | "dd" | "header" | "form" | "caption" | "figcaption" | "address" | "details"
        | "summary" | "fieldset" | "body" | "html" => Element::Line,
        "li" => Element::Item,
        "td" | "th" => Element::Cell,
        "tr" => Element::Row,
        "br" => Element::Break,
        "pre" => Element::Preformatted,
        _ => Element::Inline,
    }
}

#[derive(Default)]
struct Writer {
    done: Vec<Part>,
    part: Part,
    /// The words of the heading that is open.
    heading: Option<String>,
    /// How many `pre` are open.
    preformatted: usize,
    /// A space stands before the next word.
    space: bool,
    /// The row has a cell already.
    cell: bool,
}

impl Writer {
    /// Whether to read what is in the node.
    fn enter(&mut self, node: &NodeRef<'_>) -> bool {
        if node.is_text() {
            self.words(&node.text());
            return false;
        }
        if !node.is_element() {
            return true;
        }
        let name = node.node_name().unwrap_or_default();
        let element = element(&name);
        if element == Element::Skipped || hidden(node) {
            return false;
        }
        match element {
            Element::Heading => {
                self.flush();
                self.heading = Some(String::new());
                self.space = false;
            }
            Element::Paragraph => self.lines(2),
            Element::Line | Element::Break => self.lines(1),
            Element::Row => {
                self.lines(1);
                self.cell = false;
            }
            Element::Item => {
                self.lines(1);
                self.open().push_str("- ");
            }
            Element::Cell => {
                if std::mem::replace(&mut self.cell, true) {
                    self.open().push_str(" | ");
                }
                self.space = false;
            }
            Element::Preformatted => {
                self.lines(2);
                self.preformatted += 1;
            }
            Element::Skipped | Element::Inline => {}
        }
        true
    }

    fn leave(&mut self, node: &NodeRef<'_>) {
        if !node.is_element() {
            return;
        }
        match element(&node.node_name().unwrap_or_default()) {
            Element::Heading => {
                let heading = self.heading.take().unwrap_or_default();
                let heading = heading.trim();
                if !heading.is_empty() {
                    self.part.heading = Some(heading.to_owned());
                    self.part.text.push_str(heading);
                    self.lines(1);
                }
            }
            Element::Paragraph => self.lines(2),
            Element::Line | Element::Row | Element::Item => self.lines(1),
            Element::Preformatted => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.lines(2);
            }
            Element::Cell | Element::Break | Element::Skipped | Element::Inline => {}
        }
    }

    /// Where words go.
    fn open(&mut self) -> &mut String {
        self.heading.as_mut().unwrap_or(&mut self.part.text)
    }

    fn words(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.open().push_str(text);
            return;
        }
        self.space |= text.starts_with(char::is_whitespace);
        for word in text.split_whitespace() {
            let space = self.space;
            let open = self.open();
            if space && !open.is_empty() && !open.ends_with([' ', '\n']) {
                open.push(' ');
            }
            open.push_str(word);
            self.space = true;
        }
        if !text.trim().is_empty() {
            self.space = text.ends_with(char::is_whitespace);
        }
    }

    /// Ends the line, and leaves an empty one when `count` is two.
    fn lines(&mut self, count: usize) {
        self.space = false;
        if self.heading.is_some() {
            self.space = true;
            return;
        }
        let text = &mut self.part.text;
        text.truncate(text.trim_end_matches([' ', '\t']).len());
        if text.is_empty() {
            return;
        }
        let ended = text.len() - text.trim_end_matches('\n').len();
        for _ in ended..count {
            text.push('\n');
        }
    }

    fn flush(&mut self) {
        let part = std::mem::take(&mut self.part);
        if !part.text.trim().is_empty() {
            self.done.push(part);
        }
    }

    fn finish(mut self) -> Vec<Part> {
        if let Some(heading) = self.heading.take() {
            self.part.text.push_str(&heading);
        }
        self.flush();
        self.done
    }
}

/// Whether the page says that nobody is to see this.
fn hidden(node: &NodeRef<'_>) -> bool {
    node.has_attr("hidden")
        || node.attr("style").is_some_and(|style| {
            let style: String = style.chars().filter(|c| !c.is_whitespace()).collect();
            let style = style.to_ascii_lowercase();
            style.contains("display:none") || style.contains("visibility:hidden")
        })
}
