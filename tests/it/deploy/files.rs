//! Files of the project, and YAML as JSON, which is easier to ask.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use shelfwise::config::Config;
use shelfwise::config::auth::JwtKey;
use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::world::master_key;

/// A place below the project's root.
pub fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// What a file says.
pub fn text(below: &str) -> String {
    std::fs::read_to_string(path(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
}

/// The files of a folder with an ending, and of its folders, as paths below the root.
pub fn below(folder: &str, ending: &str) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else if name.ends_with(ending) {
                found.push(name);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {ending} in {folder}");
    found
}

/// The documents of a YAML file.
pub fn documents(below: &str) -> Vec<Value> {
    let documents = YamlLoader::load_from_str(&text(below)).unwrap_or_else(|error| panic!("{below}: {error}"));
    documents.iter().map(plain).collect()
}

/// The one document of a YAML file.
pub fn document(below: &str) -> Value {
    let mut documents = documents(below);
    assert_eq!(documents.len(), 1, "{below}");
    documents.remove(0)
}

/// What a JSON file says.
pub fn json(below: &str) -> Value {
    serde_json::from_str(&text(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
}

/// The items of a list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The keys and values of a mapping.
pub fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// A text.
pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The texts of a list.
pub fn strings(value: &Value) -> Vec<&str> {
    items(value).iter().map(string).collect()
}

/// Every value within a value that has a key, however deep.
pub fn all<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for (name, inner) in entries(value) {
        if name == key {
            found.push(inner);
        }
        found.extend(all(inner, key));
    }
    for inner in items(value) {
        found.extend(all(inner, key));
    }
    found
}

/// The configuration that a process has of variables, with keys and databases of a test's where it names none.
pub fn configuration(variables: &HashMap<String, String>) -> Config {
    let mut all = HashMap::from([
        ("DATABASE_URL".to_owned(), "postgres://shelfwise@db/shelfwise".to_owned()),
        ("DATABASE_OWNER_URL".to_owned(), "postgres://shelfwise_owner@db/shelfwise".to_owned()),
        ("JWT_KEYS".to_owned(), JwtKey::generate("test-1").unwrap().to_setting()),
        ("MASTER_KEYS".to_owned(), master_key().to_setting()),
    ]);
    all.extend(variables.clone());
    Config::from_vars(&|name| all.get(name).cloned()).unwrap()
}

fn plain(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Real(text) => text.parse::<f64>().map_or_else(|_| text.as_str().into(), Into::into),
        Yaml::Integer(number) => (*number).into(),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Boolean(value) => (*value).into(),
        Yaml::Array(array) => array.iter().map(plain).collect(),
        Yaml::Hash(hash) => {
            let mut object = Map::new();
            for (key, value) in hash {
                let key = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
                match (key.as_str(), plain(value)) {
                    // What is said beside it counts more.
                    ("<<", Value::Object(merged)) => {
                        for (key, value) in merged {
                            object.entry(key).or_insert(value);
                        }
                    }
                    (_, value) => {
                        object.insert(key, value);
                    }
                }
            }
            Value::Object(object)
        }
        Yaml::Null | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}
