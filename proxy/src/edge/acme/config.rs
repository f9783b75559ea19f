//! `PROXY_ACME_…`: which names get certificates, and from whom.

use std::{fs, path::PathBuf};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::Uri;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use service::{
    secrets,
    settings::{SettingsError, Values},
};

use super::state::State;

/// Longest name: it is part of the names of files.
const MAX_NAME: usize = 230;

const DOMAINS: &str = "DNS names separated by commas such as example.org,www.example.org";
const CONTACT: &str = "e-mail addresses separated by commas such as admin@example.org";
const DIRECTORY: &str = "an https URL such as https://acme-v02.api.letsencrypt.org/directory";
/// The MAC key of an external account, as directories hand it out.
const MAC_KEY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is to be done by ACME.
#[derive(Debug, Clone)]
pub(crate) struct AcmeSettings {
    /// Names that get a certificate each: one that can't get its own doesn't take it from the others.
    pub(super) names: Vec<String>,
    /// Who is told of trouble, as `mailto:` URIs.
    pub(super) contact: Vec<String>,
    pub(super) directory: String,
    /// Who the directory's own certificate has to be from, if not from a public authority.
    pub(super) directory_ca: Option<Vec<CertificateDer<'static>>>,
    pub(super) external_account: Option<ExternalAccount>,
    /// Whether clients can connect with TLS.
    pub(super) tls: bool,
    /// The directory that all proxies share.
    pub(crate) state: PathBuf,
}

/// An account with the authority beyond ACME.
#[derive(Debug, Clone)]
pub(super) struct ExternalAccount {
    pub(super) key_id: String,
    mac_key: SecretString,
}

impl ExternalAccount {
    pub(super) fn mac_key(&self) -> Option<Vec<u8>> {
        decode(&self.mac_key)
    }
}

fn decode(mac_key: &SecretString) -> Option<Vec<u8>> {
    let key = MAC_KEY.decode(mac_key.expose_secret()).ok()?;
    Some(key).filter(|key| !key.is_empty())
}

impl AcmeSettings {
    /// Makes the place where the certificates will be, if that can be, and returns it; what keeps it from
    /// being made is said where they are got.
    pub(crate) fn prepare_certificates(&self) -> PathBuf {
        let state = State::new(&self.state);
        let _ = state.prepare();
        state.certificates()
    }

    /// Reads them; `None` where there are no names.
    pub(crate) fn read(values: &Values) -> Result<Option<Self>, SettingsError> {
        let names = values.try_read("acme_domains", DOMAINS, |text| {
            let mut names: Vec<String> = Vec::new();
            for name in list(text) {
                let name = dns_name(name).map_err(|why| Some(format!("{name}: {why}")))?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Ok(names)
        })?;
        let contact = values.read("acme_contact", CONTACT, |text| {
            list(text).map(mail_uri).collect::<Option<Vec<_>>>()
        })?;
        let directory = values.read("acme_directory", DIRECTORY, |text| {
            let uri: Uri = text.parse().ok()?;
            let https = uri.scheme_str() == Some("https") && uri.host().is_some();
            https.then(|| text.to_owned())
        })?;
        let directory_ca = values.file("acme_directory_ca_file", |file| {
            let pem = fs::read(file).map_err(|error| error.to_string())?;
            let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            let certificates = certificates.unwrap_or_default();
            if certificates.is_empty() {
                return Err("expected a file of PEM certificates".to_owned());
            }
            Ok(certificates)
        })?;
        let settings = Self {
            names,
            contact,
            directory,
            directory_ca,
            external_account: external_account(values)?,
            tls: !values.text("tls_listen").is_empty(),
            state: PathBuf::from(values.text("acme_state")),
        };
        Ok(Some(settings).filter(|settings| !settings.names.is_empty()))
    }
}

fn external_account(values: &Values) -> Result<Option<ExternalAccount>, SettingsError> {
    let key_id = values.text("acme_eab_key_id");
    let mac_key = values.file("acme_eab_key_file", |file| {
        let mut lines = secrets::lines(file)?;
        let key = lines.swap_remove(0);
        let decoded = decode(&key).ok_or("expected a file whose first line is a key in base64url");
        decoded.map(|_| key).map_err(ToOwned::to_owned)
    })?;
    match (key_id, mac_key) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(SettingsError::conflict(
            "PROXY_ACME_EAB_KEY_ID and PROXY_ACME_EAB_KEY_FILE only work together",
        )),
        (key_id, Some(mac_key)) => Ok(Some(ExternalAccount {
            key_id: key_id.to_owned(),
            mac_key,
        })),
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// The name as certificates have it, or why they can't.
fn dns_name(text: &str) -> Result<String, &'static str> {
    if text.contains('*') {
        return Err(
            "a wildcard takes a DNS challenge, which there isn't here: list its names, or put its \
             certificate into PROXY_TLS_CERTIFICATES",
        );
    }
    if !text.is_ascii() {
        return Err("an international name has to be in its form for DNS, xn--…");
    }
    let label = |label: &str| {
        let allowed = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len())
            && allowed
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    if text.len() > MAX_NAME {
        Err("longer than 230 characters")
    } else if !text.split('.').all(label) || last.bytes().all(|b| b.is_ascii_digit()) {
        Err("not a DNS name")
    } else {
        Ok(text.to_ascii_lowercase())
    }
}

fn mail_uri(address: &str) -> Option<String> {
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    let (user, host) = address.split_once('@')?;
    let visible = address.bytes().all(|b| b.is_ascii_graphic());
    // RFC 8555 §7.3: one address, and no header fields.
    let single = visible && !address.contains('?') && !host.contains('@');
    (single && !user.is_empty() && dns_name(host).is_ok()).then(|| format!("mailto:{address}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::settings::TABLE;

    fn read(environment: &[(&str, &str)]) -> Result<Option<AcmeSettings>, SettingsError> {
        let values = Values::load(&TABLE, None, environment.iter().copied())?;
        AcmeSettings::read(&values)
    }

    #[test]
    fn names_are_those_of_certificates() {
        assert!(read(&[]).unwrap().is_none());
        let settings = read(&[
            (
                "PROXY_ACME_DOMAINS",
                "Example.org, www.example.org,example.org",
            ),
            ("PROXY_ACME_CONTACT", "admin@example.org"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.names, ["example.org", "www.example.org"]);
        assert_eq!(settings.contact, ["mailto:admin@example.org"]);
        assert_eq!(settings.state.to_str(), Some("/var/lib/acme"));
    }

    #[test]
    fn errors_name_the_key_the_value_and_what_is_expected() {
        let long = format!("{}.org", ["a"; 120].join("."));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"no key!\n").unwrap();
        let path = file.path().to_str().unwrap();
        for (name, value, expected) in [
            (
                "DOMAINS",
                "*.example.org",
                "a wildcard takes a DNS challenge",
            ),
            ("DOMAINS", "exämple.org", "xn--"),
            ("DOMAINS", "example.org,-a.org", "-a.org: not a DNS name"),
            ("DOMAINS", "https://example.org", "expected DNS names"),
            ("DOMAINS", "192.0.2.1", "192.0.2.1: not a DNS name"),
            ("DOMAINS", "a_b.org", "a_b.org: not a DNS name"),
            ("DOMAINS", &long, "longer than 230"),
            ("CONTACT", "admin", "e-mail addresses"),
            ("CONTACT", "a@b.org?to=c@d.org", "e-mail addresses"),
            ("DIRECTORY", "http://example.org/directory", "an https URL"),
            ("DIRECTORY", "example.org", "an https URL"),
            ("DIRECTORY_CA_FILE", "/no/such/file", "No such file"),
            ("DIRECTORY_CA_FILE", path, "PEM certificates"),
            ("EAB_KEY_FILE", path, "a key in base64url"),
        ] {
            let name = format!("PROXY_ACME_{name}");
            let error = read(&[(&name, value)]).unwrap_err().to_string();
            for part in [&name, value, expected] {
                assert!(error.contains(part), "{part}: {error}");
            }
            assert!(!error.contains("no key!"), "{error}");
        }
        let error = read(&[("PROXY_ACME_EAB_KEY_ID", "kid")]).unwrap_err();
        assert!(error.to_string().contains("PROXY_ACME_EAB_KEY_FILE"));
    }

    #[test]
    fn the_key_of_an_external_account_may_be_padded_and_is_never_shown() {
        for text in ["c2VjcmV0LWtleS0_", "c2VjcmV0LWtleQ==", "c2VjcmV0LWtleQ\n"] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let settings = read(&[
                ("PROXY_ACME_DOMAINS", "example.org"),
                ("PROXY_ACME_EAB_KEY_ID", "kid"),
                ("PROXY_ACME_EAB_KEY_FILE", file.path().to_str().unwrap()),
            ]);
            let settings = settings.unwrap().unwrap();
            let account = settings.external_account.as_ref().unwrap();
            assert!(account.mac_key().unwrap().starts_with(b"secret-key"));
            assert!(!format!("{settings:?}").contains("c2Vj"));
        }
    }
}
