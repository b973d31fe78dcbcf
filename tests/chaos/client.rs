//! One client: enters orders one after the other, and takes each some way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Chaos;
use super::call::{Call, Outcome};
use crate::harness::chance::Random;

/// The pause between two looks at a payment.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Looks at a payment before the order is left to itself.
const LOOKS: usize = 40;

/// A client and the order that it is about.
struct Client<'a> {
    chaos: &'a Chaos,
    side: usize,
    token: String,
    random: &'a mut Random,
    /// What its keys begin with. Clients of both shops use the same.
    mark: String,
    keys: usize,
    id: String,
}

/// Enters orders until the storm is over.
pub async fn run(chaos: Arc<Chaos>, number: u64) {
    let side = usize::from(number % 3 == 2);
    let mut random = Random::new(chaos.seed, number);
    let mut turn = 0;
    while !chaos.is_calm() {
        turn += 1;
        let token = chaos.site.token(side);
        // Every third client is of the other shop, and uses the keys of the one before it.
        let mark = format!("{}.{turn}", number - side as u64);
        let client = Client { chaos: &chaos, side, token, random: &mut random, mark, keys: 0, id: String::new() };
        client.order().await;
    }
}

impl Client<'_> {
    /// Takes one order from its draft to wherever chance leads.
    async fn order(mut self) {
        self.create().await;
        if self.random.below(4) == 0 {
            self.edit().await;
        }
        if !self.place().await {
            if self.random.below(2) == 0 {
                self.must("orderCancel", ", reason: OUT_OF_STOCK").await;
            }
            return;
        }
        match self.random.below(10) {
            0 => {}
            1 => self.must("orderCancel", ", reason: CUSTOMER_REQUEST").await,
            2..6 => self.regret().await,
            _ => self.buy().await,
        }
    }

    async fn create(&mut self) {
        let lines = self.chaos.shelves[self.side].draw(self.random);
        let rows: Vec<Value> =
            lines.iter().map(|(book, quantity)| json!({ "bookId": book, "quantity": quantity })).collect();
        let mail = format!("c{}@customers.example", self.random.below(20));
        let input = json!({ "customer": { "name": "Ann Example", "email": mail }, "lines": rows });
        let document = "mutation($input: OrderCreateInput!, $key: IdempotencyKey) {
            r: orderCreate(input: $input, idempotencyKey: $key) { order { id status } userErrors { code } } }";
        let outcome = self.call(document.to_owned(), json!({ "input": input })).await;
        self.id = outcome.id.unwrap_or_else(|| panic!("refused: {:?}", outcome.codes));
        self.chaos.ledger(self.side).created(&self.id, lines);
        self.chaos.count("orderCreate");
    }

    async fn edit(&mut self) {
        let (book, quantity) = self.chaos.shelves[self.side].draw(self.random).remove(0);
        self.must("orderLineSet", &format!(r#", bookId: "{book}", quantity: {quantity}"#)).await;
        self.chaos.ledger(self.side).edited(&self.id, book, quantity);
    }

    /// Places the order, or is told that there is too little of something.
    async fn place(&mut self) -> bool {
        let outcome = self.mutate("orderPlace", "").await;
        if !outcome.codes.is_empty() {
            assert!(outcome.codes.iter().all(|code| code == "INSUFFICIENT_STOCK"), "{:?}", outcome.codes);
            self.chaos.count("INSUFFICIENT_STOCK");
        }
        outcome.codes.is_empty()
    }

    /// Pays and gives up: at once, or when the payment is halfway.
    async fn regret(&mut self) {
        self.must("orderPay", "").await;
        if self.random.below(4) > 0 {
            self.looked(|status| status != "PENDING").await;
        }
        if !self.may("orderCancel", ", reason: FRAUD").await {
            self.must("orderRefund", "").await;
        }
    }

    /// Pays, and goes on when the payment is through.
    async fn buy(&mut self) {
        self.must("orderPay", "").await;
        for _ in 0..2 {
            match self.looked(|status| ["CONFIRMED", "FAILED"].contains(&status)).await.as_str() {
                "CONFIRMED" => return self.use_up().await,
                "FAILED" => {
                    if self.random.below(2) == 0 {
                        return self.must("orderCancel", ", reason: OTHER").await;
                    }
                    self.must("orderPay", "").await;
                }
                _ => return,
            }
        }
    }

    /// Takes a paid order to one of its ends.
    async fn use_up(&mut self) {
        match self.random.below(6) {
            0 => {}
            1 => self.must("orderRefund", "").await,
            2 => self.must("orderFulfill", "").await,
            3 => {
                self.must("orderFulfill", "").await;
                self.must("orderDeliver", "").await;
            }
            4 => {
                self.must("orderFulfill", "").await;
                self.must("orderRefund", ", isReturned: true").await;
                self.chaos.ledger(self.side).returned(&self.id);
            }
            _ => {
                self.must("orderFulfill", "").await;
                self.must("orderRefund", ", isReturned: false").await;
            }
        }
    }

    /// The status of the payment when it is one that is waited for; nothing where that takes too long.
    async fn looked(&self, is_awaited: impl Fn(&str) -> bool) -> String {
        let document = "query($id: ID!) { order(id: $id) { id status payment { status } } }".to_owned();
        let variables = json!({ "id": self.id });
        let (chaos, side, token) = (self.chaos, self.side, self.token.as_str());
        let call = Call { chaos, side, token, document, variables, header: None };
        let mut random = Random::new(chaos.seed, u64::MAX);
        for _ in 0..LOOKS {
            let order = call.answer(&mut random).await["data"]["order"].clone();
            let status = order["payment"]["status"].as_str().unwrap_or_else(|| panic!("no payment: {order}"));
            if is_awaited(status) {
                assert_eq!(order["status"] == "PAID", status == "CONFIRMED", "{order}");
                return status.to_owned();
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        String::new()
    }

    /// A mutation of the order that must be done.
    async fn must(&mut self, mutation: &'static str, arguments: &str) {
        let outcome = self.mutate(mutation, arguments).await;
        assert_eq!(outcome.codes, Vec::<String>::new(), "{mutation} of {}", self.id);
    }

    /// A mutation that the order's state may forbid by now; answers whether it was done.
    async fn may(&mut self, mutation: &'static str, arguments: &str) -> bool {
        let outcome = self.mutate(mutation, arguments).await;
        let is_done = outcome.codes.is_empty();
        assert!(is_done || outcome.codes == ["MOVE_NOT_ALLOWED"], "{mutation}: {:?}", outcome.codes);
        is_done
    }

    async fn mutate(&mut self, mutation: &'static str, arguments: &str) -> Outcome {
        let document = format!(
            "mutation($id: ID!, $key: IdempotencyKey) {{
                r: {mutation}(id: $id{arguments}, idempotencyKey: $key) {{ order {{ id status }} userErrors {{ code }} }} }}"
        );
        let outcome = self.call(document, json!({ "id": self.id })).await;
        if outcome.codes.is_empty() {
            assert_eq!(outcome.id.as_ref(), Some(&self.id));
            self.chaos.ledger(self.side).moved(&self.id, mutation);
            self.chaos.count(mutation);
        }
        outcome
    }

    /// Sends a mutation under a key of its own, in the arguments or in the header.
    async fn call(&mut self, document: String, mut variables: Value) -> Outcome {
        self.keys += 1;
        let key = format!("{}.{}", self.mark, self.keys);
        let is_in_header = self.random.below(2) == 0;
        if !is_in_header {
            variables["key"] = json!(key);
        }
        let header = is_in_header.then_some(key);
        let (chaos, side, token) = (self.chaos, self.side, self.token.as_str());
        let outcome = Call { chaos, side, token, document, variables, header }.settle(self.random).await;
        chaos.ledger(side).keys += 1;
        outcome
    }
}
