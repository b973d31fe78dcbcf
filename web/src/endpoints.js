// The two GraphQL endpoints of the server, by the key that settings use.
export const ENDPOINTS = {
  tenant: {
    label: 'Tenant API /graphql',
    url: '/graphql',
    defaultQuery: `# The first books of this tenant's catalogue.
query Catalogue {
  books(first: 20) {
    nodes {
      id
      title
      price {
        amount
        currency
      }
      authors {
        nodes {
          name
        }
      }
      category {
        name
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
    totalCount
  }
}`,
  },
  admin: {
    label: 'Admin API /admin/graphql',
    url: '/admin/graphql',
    defaultQuery: `# The first tenants of the platform.
query Tenants {
  tenants(first: 20) {
    nodes {
      slug
      name
      plan
      status
      createdAt
    }
  }
}`,
  },
};
