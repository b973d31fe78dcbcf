import type { CodegenConfig } from '@graphql-codegen/cli';

// The schema is a file of the repository, so the types are made without a server.
const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: 'src/**/*.graphql',
  emitLegacyCommonJSImports: false,
  generates: {
    'src/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        enumsAsConst: true,
        // What a scalar is in JSON. One that is not listed is `unknown`, so that nobody guesses.
        defaultScalarType: 'unknown',
        scalars: {
          ID: 'string',
          Date: 'string',
          DateTime: 'string',
          Decimal: 'string',
          IdempotencyKey: 'string',
          Isbn13: 'string',
        },
        useTypeImports: true,
      },
    },
  },
};

export default config;
