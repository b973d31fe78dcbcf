//! What the shops have to sell: some books of which there are few, and some of which there are many.

use shelfwise::kernel::ids::BookId;
use uuid::Uuid;

use super::site::Site;
use crate::harness::chance::Random;

/// Copies of each book at the beginning.
const COPIES: [i32; 6] = [6, 12, 40, 100_000, 100_000, 100_000];

/// A shop's books.
pub struct Shelf {
    pub books: Vec<(Uuid, i32)>,
}

impl Shelf {
    /// Fills a shop, below the API.
    pub async fn fill(site: &Site, side: usize) -> Self {
        let (psql, shop) = (site.psql().await, &site.shops[side]);
        let books: Vec<(Uuid, i32)> = COPIES.iter().map(|copies| (Uuid::new_v4(), *copies)).collect();
        for (index, (id, stock)) in books.iter().enumerate() {
            let title = format!("{} book {index}", shop.slug);
            let insert = format!(
                r#"INSERT INTO "{}".books
                     (id, title, title_key, authors_key, stock, price_minor, price_currency, created_at, updated_at)
                   VALUES ('{id}', '{title}', '{title}', '', {stock}, {}, 'EUR', now(), now())"#,
                shop.schema,
                1_000 + index
            );
            psql.batch_execute(&insert).await.unwrap();
        }
        Self { books }
    }

    /// One to three books, as the API knows them, with quantities. Their order is up to chance, too.
    pub fn draw(&self, random: &mut Random) -> Vec<(String, i32)> {
        let first = random.index(self.books.len());
        let step = [1, 5][random.index(2)];
        let lines = (0..=random.index(3)).map(|number| {
            let (id, _) = self.books[(first + number * step) % self.books.len()];
            (BookId(id).to_string(), 1 + random.below(2) as i32)
        });
        lines.collect()
    }
}
