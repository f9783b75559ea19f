//! OpenTelemetry's own variables, as far as they say something here
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use opentelemetry_sdk::trace::Sampler;

use super::post::Endpoint;
use crate::settings::{Key, SettingsError, Values, standard};

/// Where spans go. Without it there are none.
pub const ENDPOINT: Key = standard(
    "otel_exporter_otlp_endpoint",
    "",
    "where traces are exported to, as OTLP over HTTP, such as http://otel-collector:4318; without, there \
     are none",
);

/// How they go there.
pub const PROTOCOL: Key = standard(
    "otel_exporter_otlp_protocol",
    "http/protobuf",
    "how they are exported: http/protobuf is what there is",
);

/// Which of them.
pub const SAMPLER: Key = standard(
    "otel_traces_sampler",
    "parentbased_always_on",
    "which traces are exported: always_on, always_off, traceidratio; with parentbased_ before it, where \
     the client says so it is its choice",
);

/// How many of them.
pub const SAMPLER_ARG: Key = standard(
    "otel_traces_sampler_arg",
    "1",
    "the share of them for traceidratio, from 0 to 1",
);

/// What the service is called there, if not `default`.
pub const fn service_name(default: &'static str) -> Key {
    let help = "what this service is called in traces";
    standard("otel_service_name", default, help)
}

/// How traces are exported.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    pub(super) endpoint: Endpoint,
    pub(super) service_name: String,
    pub(super) sampler: Sampler,
}

impl TraceSettings {
    /// Reads them, if they say that traces are exported. What is wrong is an error in any case.
    pub fn read(values: &Values) -> Result<Option<Self>, SettingsError> {
        let expected = "an http:// URL such as http://otel-collector:4318; for TLS or credentials, a \
                        collector beside the stack that forwards with them";
        let endpoint = values.read(ENDPOINT.name, expected, |text| match text {
            "" => Some(None),
            url => Endpoint::parse(url).map(Some),
        })?;
        values.read(PROTOCOL.name, "http/protobuf", |text| {
            (text == "http/protobuf").then_some(())
        })?;
        let share = values.read(
            SAMPLER_ARG.name,
            "a number from 0 to 1 such as 0.1",
            |text| {
                text.parse()
                    .ok()
                    .filter(|share| (0.0..=1.0).contains(share))
            },
        )?;
        let expected = "always_on, always_off or traceidratio, or one of them after parentbased_";
        let sampler = values.read(SAMPLER.name, expected, |text| sampler(text, share))?;
        Ok(endpoint.map(|endpoint| Self {
            endpoint,
            service_name: values.text("otel_service_name").to_owned(),
            sampler,
        }))
    }
}

fn sampler(name: &str, share: f64) -> Option<Sampler> {
    if let Some(root) = name.strip_prefix("parentbased_") {
        let nested = root.starts_with("parentbased_");
        let root = sampler(root, share).filter(|_| !nested)?;
        return Some(Sampler::ParentBased(Box::new(root)));
    }
    match name {
        "always_on" => Some(Sampler::AlwaysOn),
        "always_off" => Some(Sampler::AlwaysOff),
        "traceidratio" => Some(Sampler::TraceIdRatioBased(share)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::TABLE;

    fn read(environment: &[(&str, &str)]) -> Result<Option<TraceSettings>, SettingsError> {
        TraceSettings::read(&Values::from_environment(
            &TABLE,
            environment.iter().copied(),
        )?)
    }

    #[test]
    fn there_are_none_without_an_endpoint() {
        assert!(read(&[]).unwrap().is_none());
        assert!(
            read(&[("OTEL_TRACES_SAMPLER", "always_on")])
                .unwrap()
                .is_none()
        );
        let on = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318")])
            .unwrap()
            .unwrap();
        assert_eq!(on.service_name, "web");
        assert!(matches!(on.sampler, Sampler::ParentBased(_)));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key_and_what_is_expected() {
        for (key, value, expected) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a", "an http:// URL"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "a:4318", "an http:// URL"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", "always_on"),
            (
                "OTEL_TRACES_SAMPLER",
                "parentbased_parentbased_always_on",
                "always_on",
            ),
            ("OTEL_TRACES_SAMPLER_ARG", "10%", "from 0 to 1"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN", "from 0 to 1"),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            for part in [key, &format!("{value:?}"), expected] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
