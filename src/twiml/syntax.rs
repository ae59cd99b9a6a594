//! Every way in which a page can fail to be a well-formed XML 1.0 document (fifth edition), each with the production or
//! constraint it breaks. Parsed without namespaces, because Twilio's own markup (`amazon:effect`) declares none.

use std::fmt;

use super::{MAX_ATTRIBUTES, MAX_DEPTH, Name};

/// What is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `[1] document`: nothing but space, comments and processing instructions.
    NoRoot,
    /// `[22] prolog`: something else stands before the root.
    BeforeRoot,
    /// `[22] prolog`: before the document, or in its place, stands a message that PHP prints.
    PhpMessage,
    /// `[28] doctypedecl`: that of an HTML page.
    HtmlDoctype,
    /// `[1] document`: text, or a tag that closes nothing, stands after the root.
    AfterRoot,
    /// `[1] document`: a second root.
    SecondRoot(Name),
    /// `[28] doctypedecl`: legal XML, but never TwiML, and a door to entity attacks.
    Doctype,
    /// `[23] XMLDecl`: stands anywhere but at the very start.
    DeclarationNotFirst,
    /// `[24] VersionInfo`: absent, not first, or not `1.` and digits.
    DeclarationVersion,
    /// `[80] EncodingDecl`: not an encoding's name, or unquoted.
    DeclarationEncoding,
    /// `[32] SDDecl`: neither `yes` nor `no`.
    DeclarationStandalone,
    /// `[23] XMLDecl`: something else, or missing space, where `?>` should be.
    DeclarationEnd,
    /// The page ends within this.
    Unclosed(Construct),
    /// The page ends before this element is closed.
    UnclosedElement(Name),
    /// WFC Element Type Match.
    Mismatched {
        /// The innermost open element.
        open: Name,
        /// The end tag that was found.
        close: Name,
    },
    /// `[40] STag`: no name after `<`.
    TagName,
    /// `[42] ETag`: no name after `</`, or something other than `>` after it.
    EndTag,
    /// `[40] STag`: no space before an attribute.
    AttributeSpace,
    /// `[41] Attribute`: something else where an attribute, `>` or `/>` should be.
    AttributeName,
    /// `[25] Eq`: no `=` after this attribute's name.
    AttributeEquals(Name),
    /// `[10] AttValue`: this attribute's value stands in no quotes.
    AttributeQuote(Name),
    /// WFC No `<` in Attribute Values.
    AttributeLess(Name),
    /// WFC Unique Att Spec.
    DuplicateAttribute(Name),
    /// `[68] EntityRef`: an `&` that starts no reference.
    Ampersand,
    /// WFC Entity Declared: only `amp`, `lt`, `gt`, `quot` and `apos` are known without a DTD.
    UnknownEntity(Name),
    /// `[66] CharRef`: no digits, or no `;`.
    CharacterReference,
    /// WFC Legal Character: a reference to a character that XML forbids.
    IllegalReference,
    /// `[2] Char`: a character that XML forbids.
    IllegalCharacter(u32),
    /// `[14] CharData`: `]]>` in text.
    CdataEnd,
    /// `[15] Comment`: `--` within a comment.
    CommentDashes,
    /// `[17] PITarget`: no name after `<?`.
    PiTarget,
    /// `[17] PITarget`: `xml` in other letters.
    PiReserved,
    /// `[16] PI`: no space after the target.
    PiSpace,
    /// `<!` that begins neither a comment nor a CDATA section, or a CDATA section outside the root.
    Markup,
    /// Elements nested deeper than any TwiML: our own bound.
    TooDeep,
    /// More attributes on one element than any TwiML: our own bound.
    TooManyAttributes,
}

/// What the end of a page can interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Construct {
    /// `<?xml … ?>`
    Declaration,
    /// `<Name … >`
    Tag,
    /// `<!-- … -->`
    Comment,
    /// `<![CDATA[ … ]]>`
    Cdata,
    /// `<? … ?>`
    Pi,
}

impl Construct {
    fn close(self) -> &'static str {
        match self {
            Self::Declaration | Self::Pi => "?>",
            Self::Tag => ">",
            Self::Comment => "-->",
            Self::Cdata => "]]>",
        }
    }
}

impl fmt::Display for Construct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declaration => "the XML declaration",
            Self::Tag => "a tag",
            Self::Comment => "a comment",
            Self::Cdata => "a CDATA section",
            Self::Pi => "a processing instruction",
        })
    }
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => f.write_str("no root element"),
            Self::BeforeRoot => f.write_str("text before the root element"),
            Self::PhpMessage => f.write_str("a message printed by PHP, outside the TwiML document"),
            Self::HtmlDoctype => f.write_str("an HTML page, not TwiML: it begins with its DOCTYPE"),
            Self::AfterRoot => f.write_str("text after the root element"),
            Self::SecondRoot(name) => write!(f, "a second root element, `<{name}>`"),
            Self::Doctype => f.write_str("a DOCTYPE"),
            Self::DeclarationNotFirst => {
                f.write_str("an XML declaration that is not the first thing in the page")
            }
            Self::DeclarationVersion => f.write_str("the XML declaration has no good `version`"),
            Self::DeclarationEncoding => f.write_str("the XML declaration has no good `encoding`"),
            Self::DeclarationStandalone => {
                f.write_str("the XML declaration has no good `standalone`")
            }
            Self::DeclarationEnd => f.write_str("the XML declaration does not end where it should"),
            Self::Unclosed(construct) => write!(f, "the page ends within {construct}"),
            Self::UnclosedElement(name) => write!(f, "the page ends before `<{name}>` is closed"),
            Self::Mismatched { open, close } => write!(f, "`</{close}>` closes `<{open}>`"),
            Self::TagName => f.write_str("a `<` without a name after it"),
            Self::EndTag => f.write_str("an end tag that is not `</`, a name and `>`"),
            Self::AttributeSpace => f.write_str("no space before an attribute"),
            Self::AttributeName => f.write_str("something in a tag that is not an attribute"),
            Self::AttributeEquals(name) => write!(f, "attribute `{name}` without a value"),
            Self::AttributeQuote(name) => {
                write!(f, "the value of attribute `{name}` is not quoted")
            }
            Self::AttributeLess(name) => write!(f, "a `<` in the value of attribute `{name}`"),
            Self::DuplicateAttribute(name) => write!(f, "attribute `{name}` twice in one tag"),
            Self::Ampersand => f.write_str("a bare `&`"),
            Self::UnknownEntity(name) => write!(f, "an entity that XML does not know, `&{name};`"),
            Self::CharacterReference => f.write_str("a broken character reference"),
            Self::IllegalReference => f.write_str("a reference to a character that XML forbids"),
            Self::IllegalCharacter(c) => write!(f, "a character that XML forbids, U+{c:04X}"),
            Self::CdataEnd => f.write_str("`]]>` in text"),
            Self::CommentDashes => f.write_str("`--` within a comment"),
            Self::PiTarget => f.write_str("a processing instruction without a target"),
            Self::PiReserved => {
                f.write_str("a processing instruction with the reserved target `xml`")
            }
            Self::PiSpace => f.write_str("no space after the target of a processing instruction"),
            Self::Markup => f.write_str("a `<!` that begins neither a comment nor a CDATA section"),
            Self::TooDeep => write!(f, "elements nested over {MAX_DEPTH} deep"),
            Self::TooManyAttributes => write!(f, "over {MAX_ATTRIBUTES} attributes in one tag"),
        }
    }
}

impl Syntax {
    pub(super) fn help(&self) -> Option<String> {
        let fixed = match self {
            Self::NoRoot | Self::BeforeRoot => {
                "a page is one `<Response>` element and nothing before it"
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
                return Some(format!("close it with `{}`", construct.close()));
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

/// A fact and its offset in the text; boxed, so that the way of a good page stays narrow.
pub(super) type Stop = Box<(usize, Syntax)>;

#[cold]
pub(super) fn stop(at: usize, fact: Syntax) -> Stop {
    Box::new((at, fact))
}
