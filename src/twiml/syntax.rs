//! Every way in which a document can fail to be well-formed XML 1.0 (fifth edition), each with the production or constraint
//! that it breaks. XML namespaces are ignored, because Twilio's own markup (`amazon:effect`) declares none.

use super::name::Name;

/// How deep elements may nest. TwiML needs about eight levels.
pub const MAX_DEPTH: usize = 256;
/// How many attributes an element may have. TwiML's richest takes about thirty.
pub const MAX_ATTRIBUTES: usize = 256;

/// Why a document is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// `[1] document`: there is nothing but space, comments and processing instructions.
    #[error("no root element")]
    NoRoot,
    /// `[22] prolog`: there is something else before the root.
    #[error("text before the root element")]
    BeforeRoot,
    /// `[22] prolog`: PHP has printed a message before the document, after it or in its place.
    #[error("a message printed by PHP, outside the TwiML document")]
    PhpMessage,
    /// `[28] doctypedecl`: the DOCTYPE of HTML.
    #[error("an HTML page, not TwiML: it begins with its DOCTYPE")]
    HtmlDoctype,
    /// `[1] document`: there is text or a stray end tag after the root.
    #[error("text after the root element")]
    AfterRoot,
    /// `[1] document`: there is a second root.
    #[error("a second root element, `<{0}>`")]
    SecondRoot(Name),
    /// `[28] doctypedecl`: legal XML, but never TwiML, and a way to entity attacks.
    #[error("a DOCTYPE")]
    Doctype,
    /// `[23] XMLDecl`: it is not at the very start.
    #[error("an XML declaration that is not the first thing in the document")]
    DeclarationNotFirst,
    /// `[24] VersionInfo`: missing, not first, or not `1.` and digits.
    #[error("the XML declaration has no valid `version`")]
    DeclarationVersion,
    /// `[80] EncodingDecl`: not the name of an encoding, or not quoted.
    #[error("the XML declaration has no valid `encoding`")]
    DeclarationEncoding,
    /// `[32] SDDecl`: neither `yes` nor `no`.
    #[error("the XML declaration has no valid `standalone`")]
    DeclarationStandalone,
    /// `[23] XMLDecl`: something else, or no space, where `?>` should be.
    #[error("the XML declaration does not end where it should")]
    DeclarationEnd,
    /// The document ends within this.
    #[error("the document ends within {0}")]
    Unclosed(Construct),
    /// The document ends before this element is closed.
    #[error("the document ends before `<{0}>` is closed")]
    UnclosedElement(Name),
    /// WFC Element Type Match.
    #[error("`</{close}>` closes `<{open}>`")]
    Mismatched {
        /// The innermost open element.
        open: Name,
        /// The end tag that was found.
        close: Name,
    },
    /// `[40] STag`: no name after `<`.
    #[error("a `<` without a name after it")]
    TagName,
    /// `[42] ETag`: no name after `</`, or something other than `>` after the name.
    #[error("an end tag that is not `</`, a name and `>`")]
    EndTag,
    /// `[40] STag`: no space before an attribute.
    #[error("no space before an attribute")]
    AttributeSpace,
    /// `[41] Attribute`: something else where an attribute, `>` or `/>` should be.
    #[error("something in a tag that is not an attribute")]
    AttributeName,
    /// `[25] Eq`: no `=` after this attribute's name.
    #[error("attribute `{0}` without a value")]
    AttributeEquals(Name),
    /// `[10] AttValue`: this attribute's value has no quotes.
    #[error("the value of attribute `{0}` is not quoted")]
    AttributeQuote(Name),
    /// WFC No `<` in Attribute Values.
    #[error("a `<` in the value of attribute `{0}`")]
    AttributeLess(Name),
    /// WFC Unique Att Spec.
    #[error("attribute `{0}` twice in one tag")]
    DuplicateAttribute(Name),
    /// `[68] EntityRef`: an `&` that starts no reference.
    #[error("a bare `&`")]
    Ampersand,
    /// WFC Entity Declared: without a DTD only `amp`, `lt`, `gt`, `quot` and `apos` are known.
    #[error("an entity that XML does not know, `&{0};`")]
    UnknownEntity(Name),
    /// `[66] CharRef`: no digits, or no `;`.
    #[error("a broken character reference")]
    CharacterReference,
    /// WFC Legal Character: a reference to a character that XML forbids.
    #[error("a reference to a character that XML forbids")]
    IllegalReference,
    /// `[2] Char`: a character that XML forbids.
    #[error("a character that XML forbids, U+{0:04X}")]
    IllegalCharacter(u32),
    /// `[14] CharData`: `]]>` in text.
    #[error("`]]>` in text")]
    CdataEnd,
    /// `[15] Comment`: `--` within a comment.
    #[error("`--` within a comment")]
    CommentDashes,
    /// `[17] PITarget`: no name after `<?`.
    #[error("a processing instruction without a target")]
    PiTarget,
    /// `[17] PITarget`: `xml` in other letter case.
    #[error("a processing instruction with the reserved target `xml`")]
    PiReserved,
    /// `[16] PI`: no space after the target.
    #[error("no space after the target of a processing instruction")]
    PiSpace,
    /// `<!` that begins neither a comment nor a CDATA section, or a CDATA section outside the root.
    #[error("a `<!` that begins neither a comment nor a CDATA section")]
    Markup,
    /// Elements nested deeper than any TwiML. The limit is ours, not XML's.
    #[error("elements nested over {MAX_DEPTH} deep")]
    TooDeep,
    /// More attributes on one element than any TwiML. The limit is ours, not XML's.
    #[error("over {MAX_ATTRIBUTES} attributes in one tag")]
    TooManyAttributes,
}

/// What the end of a document can interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Construct {
    /// `<?xml … ?>`
    #[strum(to_string = "the XML declaration")]
    Declaration,
    /// `<Name … >`
    #[strum(to_string = "a tag")]
    Tag,
    /// `<!-- … -->`
    #[strum(to_string = "a comment")]
    Comment,
    /// `<![CDATA[ … ]]>`
    #[strum(to_string = "a CDATA section")]
    Cdata,
    /// `<? … ?>`
    #[strum(to_string = "a processing instruction")]
    Pi,
}

impl Construct {
    fn end(self) -> &'static str {
        match self {
            Self::Declaration | Self::Pi => "?>",
            Self::Tag => ">",
            Self::Comment => "-->",
            Self::Cdata => "]]>",
        }
    }
}

impl SyntaxError {
    /// What to write instead, where that can be said.
    pub(super) fn help(&self) -> Option<String> {
        let fixed = match self {
            Self::NoRoot | Self::BeforeRoot => {
                "a document is one `<Response>` element and nothing before it"
            }
            Self::PhpMessage => {
                "let PHP write its messages to its log: `display_errors = Off` in php.ini"
            }
            Self::HtmlDoctype => HTML_HELP,
            Self::AfterRoot | Self::SecondRoot(_) => {
                "nothing but comments may follow `</Response>`"
            }
            Self::Doctype => "TwiML has no DOCTYPE: leave it out",
            Self::DeclarationNotFirst => "nothing, not even space, may stand before `<?xml`",
            Self::DeclarationVersion
            | Self::DeclarationEncoding
            | Self::DeclarationStandalone
            | Self::DeclarationEnd => "`<?xml version=\"1.0\" encoding=\"UTF-8\"?>` is right",
            Self::Unclosed(construct) => {
                return Some(format!("close it with `{}`", construct.end()));
            }
            Self::UnclosedElement(name) => return Some(format!("close it with `</{name}>`")),
            Self::Mismatched { open, .. } => return Some(format!("close `<{open}>` first")),
            Self::TagName => "write `&lt;` for a `<` in text",
            Self::AttributeEquals(name) | Self::AttributeQuote(name) => {
                return Some(format!("write `{name}=\"…\"`"));
            }
            Self::AttributeLess(_) => "write `&lt;`, or close the quote",
            Self::DuplicateAttribute(_) => "keep one",
            Self::Ampersand => "write `&amp;`",
            Self::UnknownEntity(_) => "write the character itself, or `&#` and its number",
            Self::CharacterReference => {
                "write `&#` and digits, or `&#x` and hexadecimal digits, then `;`"
            }
            Self::IllegalReference | Self::IllegalCharacter(_) => "leave it out",
            Self::CdataEnd => "write `]]&gt;`",
            Self::EndTag
            | Self::AttributeSpace
            | Self::AttributeName
            | Self::CommentDashes
            | Self::PiTarget
            | Self::PiReserved
            | Self::PiSpace
            | Self::Markup
            | Self::TooDeep
            | Self::TooManyAttributes => return None,
        };
        Some(fixed.into())
    }
}

/// Where an HTML page comes from that nobody meant to send.
pub(super) const HTML_HELP: &str =
    "this may be an error page of the app's framework or of a web server before it";

/// A syntax error and its offset in the text. Boxed, to keep the `Result` of every scanning step small.
pub(super) type ErrorAt = Box<(usize, SyntaxError)>;

#[cold]
pub(super) fn error_at(at: usize, error: SyntaxError) -> ErrorAt {
    Box::new((at, error))
}
