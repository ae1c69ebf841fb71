//! What the forms of all dialects hold, and the empty form that asks for it.

use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};
use xmpp_parsers::minidom::Element as Tree;
use xmpp_parsers::minidom::rxml::{Namespace, NcName};

use crate::domain::secret::DeviceToken;
use crate::xmpp::forms::Form;

/// The longest vendor token, in bytes. Real ones have 64 to 400.
const MAX_TOKEN: usize = 4096;
/// The longest device id, in bytes. Real ones have 16 to 40.
const MAX_DEVICE_ID: usize = 256;

/// A vendor's token, if the field holds what may be one. White space around it is none of it.
pub(super) fn token(form: Form<'_>, name: &str) -> Option<DeviceToken> {
    let text = form.value(name)?.trim();
    let fits = (1..=MAX_TOKEN).contains(&text.len()) && !text.contains(char::is_control);
    fits.then(|| DeviceToken::new(text))
}

/// What the app calls the device, under the newer or the older name, verbatim: the app makes a hash of it and compares.
pub(super) fn device_id<'a>(form: Form<'a>) -> Option<&'a str> {
    let id = form.value("device-id").or_else(|| form.value("android-id"));
    id.filter(|id| id.len() <= MAX_DEVICE_ID)
}

/// A field that must be filled in.
pub(super) fn required(name: &str, label: &str) -> Field {
    Field { required: true, ..optional(name, label) }
}

/// A field that may be filled in.
pub(super) fn optional(name: &str, label: &str) -> Field {
    Field { label: Some(label.to_owned()), ..Field::new(name, FieldType::TextSingle) }
}

/// The form to fill in, and what can be done with it (XEP-0050 §3.2), as XML.
pub(super) fn empty_form(fields: Vec<Field>) -> String {
    let mut form = Tree::from(DataForm { type_: DataFormType::Form, title: None, instructions: None, fields });
    // The type that a field has if it says nothing (XEP-0004 §3.3) is not written, and some clients go by nothing else.
    if let Ok(name) = NcName::try_from("type") {
        for field in form.children_mut().filter(|field| field.attr("type").is_none()) {
            field.set_attr(Namespace::NONE, name.clone(), "text-single");
        }
    }
    format!("<actions execute='complete'><complete/></actions>{}", String::from(&form))
}
