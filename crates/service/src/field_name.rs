//! How names of header fields are recorded: the API writes them so, and the console looks for them.

/// `x-request-id` as `X-Request-Id`: like Python's `str.title`, a letter is a capital unless it follows a
/// letter.
pub fn title_case(name: &str) -> impl Iterator<Item = char> {
    let mut after_letter = false;
    name.chars().map(move |character| {
        let cased = if after_letter {
            character.to_ascii_lowercase()
        } else {
            character.to_ascii_uppercase()
        };
        after_letter = character.is_ascii_alphabetic();
        cased
    })
}
