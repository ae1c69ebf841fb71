//! Lua tables as values, whether they were written as Lua or as JSON.

/// A value of Lua, as far as stores have them.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    /// `nil`, or JSON's `null`.
    Nil,
    /// A boolean.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A string: any bytes.
    Text(Vec<u8>),
    /// A table.
    Table(Table),
}

/// A table: what is numbered from 1 on, and what has names. Other keys are not kept.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Table {
    /// In order.
    pub(super) list: Vec<Value>,
    /// In the order of the file.
    pub(super) named: Vec<Named>,
}

/// A value with its name.
#[derive(Clone, PartialEq)]
pub(super) struct Named {
    /// The line where it begins; the first is 1.
    pub(super) line: u64,
    /// Its name.
    pub(super) name: Vec<u8>,
    /// The value.
    pub(super) value: Value,
}

impl Table {
    /// What has this name.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|named| named.name == name.as_bytes()).map(|named| &named.value)
    }

    /// The text that has this name; `None` if there is none, or it is no text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::text)
    }

    /// The table that has this name.
    pub(super) fn table(&self, name: &str) -> Option<&Self> {
        match self.get(name) {
            Some(Value::Table(table)) => Some(table),
            _ => None,
        }
    }
}

impl Value {
    /// The text, if it is one, in UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// From JSON, as Prosody writes tables (its `util.json`): an object with a list under `__array` is a table that has
    /// both.
    pub(super) fn from_json(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(flag) => Self::Flag(flag),
            Json::Number(number) => number.as_f64().map_or(Self::Nil, Self::Number),
            Json::String(text) => Self::Text(text.into_bytes()),
            Json::Array(list) => {
                Self::Table(Table { list: list.into_iter().map(Self::from_json).collect(), named: Vec::new() })
            }
            Json::Object(object) => {
                let mut table = Table::default();
                for (name, value) in object {
                    match (name.as_str(), value) {
                        ("__array", Json::Array(list)) => table.list = list.into_iter().map(Self::from_json).collect(),
                        // Keys that are no text: none of ours.
                        ("__hash", _) => {}
                        (_, value) => {
                            let value = Self::from_json(value);
                            table.named.push(Named { line: 1, name: name.into_bytes(), value });
                        }
                    }
                }
                Self::Table(table)
            }
        }
    }
}
