//! An answer that is being written, word by word.

use agentwire_bridge::Message;

use super::work::{Stop, Work};

/// Streams Markdown as deltas of a word each.
#[derive(Debug)]
pub(super) struct Speech<'a> {
    work: &'a Work,
    message: Message,
}

impl<'a> Speech<'a> {
    pub(super) fn new(work: &'a Work) -> Self {
        Self { work, message: work.run().message() }
    }

    /// Writes `text`.
    pub(super) async fn say(&mut self, text: impl AsRef<str>) -> Result<(), Stop> {
        for word in words(text.as_ref()) {
            self.message.delta(word).await?;
            self.work.pause().await?;
        }
        Ok(())
    }

    /// Ends the answer.
    pub(super) async fn end(self) -> Result<(), Stop> {
        self.message.complete().await?;
        Ok(())
    }
}

/// Splits `text` into words, each with the space that follows it. Together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|letter: char| !letter.is_whitespace()).unwrap_or(rest.len());
        let space = rest[word..].find(char::is_whitespace).map_or(rest.len(), |at| word + at);
        let end =
            rest[space..].find(|letter: char| !letter.is_whitespace()).map_or(rest.len(), |at| space + at);
        let (head, tail) = rest.split_at(end);
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_add_up_to_the_text() {
        let text = "  Two files\n\n| a | b |\n日本 語 ";
        let parts: Vec<&str> = words(text).collect();
        assert_eq!(parts, ["  Two ", "files\n\n", "| ", "a ", "| ", "b ", "|\n", "日本 ", "語 "]);
        assert_eq!(parts.concat(), text);
        assert_eq!(words("").count(), 0);
        assert_eq!(words(" \n").collect::<String>(), " \n");
    }
}
