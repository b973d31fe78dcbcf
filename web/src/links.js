// What a mailed link opens the page with, by the name of its token in the
// fragment: an operation that only wants for a password.
const accept = (mutation) => `mutation Use($token: String!, $password: String!) {
  ${mutation}(input: { token: $token, password: $password }) {
    session {
      accessToken
      refreshToken
      user {
        email
        status
      }
    }
    userErrors {
      code
      message
    }
  }
}`;

export const LINKS = {
  invitation: accept('invitationAccept'),
  password_reset: accept('passwordResetConfirm'),
};
