//! Why files of certificates and keys can't be used: what their owner must write, convert or renew.

/// Why a certificate, a key or the trusted authorities can't be used. The text goes on behind the name of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text isn't PEM.
    #[error("is not valid PEM; write each part between its BEGIN and END lines")]
    NotPem,
    /// A BEGIN or END line has something else on it, by which the rest of the text would be lost.
    #[error(
        "has a BEGIN or END line with something else before it; write each on a line of its own, also where files were joined"
    )]
    GluedLines,
    /// The certificate has OpenSSL's own form, with trust settings.
    #[error(
        "holds a TRUSTED CERTIFICATE, which only OpenSSL reads; convert it: openssl x509 -in trusted.pem -out cert.pem"
    )]
    TrustedCertificate,
    /// The text has no certificate.
    #[error(
        "holds no certificate; name a PEM file with the certificate first, then what leads to its root"
    )]
    NoCertificate,
    /// A certificate can't be parsed.
    #[error("holds a certificate that can't be read; have it issued again")]
    BadCertificate,
    /// The text has no private key.
    #[error("holds no private key; name the PEM file with the certificate's key")]
    NoKey,
    /// The key is encrypted, and there is nobody to ask for the passphrase.
    #[error(
        "holds a key that is encrypted; write it without a passphrase: openssl pkey -in key.pem -out plain.pem"
    )]
    EncryptedKey,
    /// The key can't be parsed, or is of a kind that isn't supported.
    #[error(
        "holds a key that can't be used; RSA of 2048 bits and over, ECDSA P-256 or P-384 and Ed25519 can"
    )]
    BadKey,
    /// The key belongs to another certificate.
    #[error("holds the key of another certificate; name the one that belongs to `cert`")]
    Mismatch,
    /// The operating system trusts no authority.
    #[error(
        "no certificate is trusted on this machine; install its package ca-certificates, or name a file: ca = \"ca.pem\""
    )]
    NoRoots,
}

/// Which of the two files can't be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// That of the certificate.
    #[error("the certificate's file {0}")]
    Certificate(LoadError),
    /// That of the key.
    #[error("the key's file {0}")]
    Key(LoadError),
}
