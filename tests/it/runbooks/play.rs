//! A page that is played: each of its blocks runs, in an installation that has what the page is for.

use serde_json::Value;

use super::house::{House, Ran};
use super::text::{Block, Page, fill};
use super::unplayed;

/// A page, what is filled in, and what has run.
pub struct Play<'a> {
    house: &'a House,
    page: Page,
    values: Vec<(String, String)>,
    has_run: Vec<bool>,
    /// What was done in the reader's shell before.
    before: String,
}

impl<'a> Play<'a> {
    /// Reads a page.
    pub fn of(house: &'a House, name: &str) -> Self {
        let page = Page::read(name);
        let has_run = vec![false; page.blocks.len()];
        Self { house, page, values: Vec::new(), has_run, before: String::new() }
    }

    /// What a word in capitals stands for, from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.values.retain(|(known, _)| known != name);
        self.values.push((name.to_owned(), value.into()));
        self
    }

    /// What the reader's shell has from before, for all blocks of bash from now on.
    pub fn before(&mut self, script: &str) -> &mut Self {
        script.clone_into(&mut self.before);
        self
    }

    /// Runs the next block that has a text; every command has to succeed. Answers what it printed.
    pub async fn run(&mut self, marker: &str) -> String {
        self.run_to(0, marker).await
    }

    /// The same where the block is to end with a status.
    pub async fn run_to(&mut self, status: i32, marker: &str) -> String {
        let (block, place) = self.next(marker);
        let ran = self.execute(&block, &place).await;
        assert_eq!(ran.status, status, "{place}\n{}\n{}", block.text, ran.text);
        ran.text
    }

    /// Runs the next block that has a text, and asserts that it prints all of these.
    pub async fn says(&mut self, marker: &str, words: &[&str]) -> String {
        let text = self.run(marker).await;
        for word in words {
            assert!(text.contains(word), "{}: {marker}: no {word} in\n{text}", self.page.name);
        }
        text
    }

    /// Sends the next document that has a text to the administrators' API, and answers its data.
    pub async fn admin(&mut self, marker: &str) -> Value {
        let (block, place) = self.next(marker);
        assert_eq!(block.language, "graphql", "{place}");
        let document = fill(&block.text, &self.values, &place);
        let data = self.house.data("/admin/graphql", &self.house.admin_token().await, &document).await;
        assert_well(&data, &place);
        data
    }

    /// The same at the API of a shop.
    pub async fn shop(&mut self, marker: &str, token: &str) -> Value {
        let (block, place) = self.next(marker);
        assert_eq!(block.language, "graphql", "{place}");
        let data = self.house.data("/graphql", token, &fill(&block.text, &self.values, &place)).await;
        assert_well(&data, &place);
        data
    }

    /// Writes the next block that has a text into a file of the folder that blocks run in.
    pub fn file(&mut self, marker: &str, name: &str) {
        let (block, place) = self.next(marker);
        std::fs::write(self.house.folder.path().join(name), fill(&block.text, &self.values, &place)).unwrap();
    }

    /// The next block that has a text, filled in, for a test that runs it in a way of its own.
    pub fn take(&mut self, marker: &str) -> String {
        let (block, place) = self.next(marker);
        fill(&block.text, &self.values, &place)
    }

    /// Asserts that every block has run, or is one of those that are told not to.
    pub fn end(self) {
        let left: Vec<String> = self
            .page
            .blocks
            .iter()
            .zip(&self.has_run)
            .filter(|(block, has_run)| !**has_run && !unplayed(&self.page.name, &block.text))
            .map(|(block, _)| format!("{}.md:{}: {}", self.page.name, block.line, block.text))
            .collect();
        assert!(left.is_empty(), "these blocks were not run:\n{}", left.join("\n"));
    }

    async fn execute(&self, block: &Block, place: &str) -> Ran {
        let text = fill(&block.text, &self.values, place);
        match block.language.as_str() {
            "bash" | "sh" => self.house.bash(&format!("{}\n{text}", self.before)).await,
            "sql" => self.house.sql(&text).await,
            language => panic!("{place}: nobody runs {language}"),
        }
    }

    /// The next block that has a text and did not run, or else the last that did.
    fn next(&mut self, marker: &str) -> (Block, String) {
        let has = |index: &usize| self.page.blocks[*index].text.contains(marker);
        let all: Vec<usize> = (0..self.page.blocks.len()).filter(has).collect();
        let next = all.iter().find(|index| !self.has_run[**index]).or(all.last());
        let index = *next.unwrap_or_else(|| panic!("{}.md has no block with: {marker}", self.page.name));
        self.has_run[index] = true;
        let block = self.page.blocks[index].clone();
        let place = format!("{}.md:{}", self.page.name, block.line);
        (block, place)
    }
}

/// Asserts that no field of an answer tells of what a user has to mend.
fn assert_well(data: &Value, place: &str) {
    for (field, payload) in data.as_object().into_iter().flatten() {
        let errors = payload["userErrors"].as_array();
        assert!(errors.is_none_or(Vec::is_empty), "{place}: {field}: {payload}");
    }
}
