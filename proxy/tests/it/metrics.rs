//! What `/metrics` tells, and that docs/metrics.md tells the same.

use super::support::*;
use super::tls::Tls;
use std::{thread::sleep, time::Duration};
use testkit::metrics_page;

#[test]
fn the_page_lists_every_metric_and_no_other() {
    // A state that can't be used: no directory is asked.
    let acme = [("ACME_DOMAINS", "a.test"), ("ACME_STATE", "/dev/null")];
    let Tls { proxy, .. } = &Tls::start(&acme);
    proxy.get("/");
    wait_until("the request and the orders in the metrics", || {
        proxy.metric("proxy_requests_total", &[]) == 1
            && proxy.metric("proxy_acme_failures", &[]) == 1
    });
    let text = proxy.admin_get("/metrics").text();
    metrics_page::lists(&text, &["proxy_", "process_"]);
    let mut client = RawClient::connect(proxy.admin);
    let answer = client.get_with("/metrics", "Accept: application/openmetrics-text\r\n");
    metrics_page::is_open_metrics(&answer.text());
}

/// Only a new connection takes connecting, and what the backend takes is told without it.
#[test]
fn the_time_of_the_upstream_is_told_apart() {
    let (_backend, proxy) = proxied(Backend::answering(|request| {
        if request.target == "/slow" {
            sleep(Duration::from_millis(300));
        }
        ok("served")
    }));
    let mut client = proxy.client();
    for target in ["/", "/slow"] {
        client.get(target);
    }
    let first_byte = "proxy_upstream_first_byte_duration_seconds";
    wait_until("both requests in the metrics", || {
        proxy.metric(&format!("{first_byte}_count"), &[]) == 2
    });
    let within = |bound: &str| {
        let label = format!("le=\"{bound}\"");
        proxy.metric(&format!("{first_byte}_bucket"), &[&label])
    };
    assert_eq!([within("0.25"), within("10.0")], [1, 2]);
    let connect = "proxy_upstream_connect_duration_seconds_count";
    assert_eq!(proxy.metric(connect, &[]), 1);
}
